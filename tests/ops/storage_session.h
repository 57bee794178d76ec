/* SPDX-License-Identifier: Apache-2.0 */
/* What is saved: random builds, and random states of them. */
#ifndef STORAGE_SESSION_H
#define STORAGE_SESSION_H

#include "storage_medium.h"
#include "tt_state.h"

#define LAYERS 4u
#define MAX_CHANNELS 8u
#define MAX_STRIDE 8u
#define MAX_PROTOTYPE_FLOATS 24u

typedef struct {
    tt_rows_t rows[LAYERS];
    uint16_t counts[LAYERS];
    uint16_t channels[LAYERS * MAX_CHANNELS];
    float pool[LAYERS * MAX_CHANNELS * MAX_STRIDE];
    float sums[MAX_PROTOTYPE_FLOATS];
    uint32_t enrolled[MAX_PROTOTYPE_FLOATS];
    uint32_t steps;
} session_t;

/* What the states of a trial have in common. */
typedef struct {
    uint16_t numbers[LAYERS];
    uint16_t totals[LAYERS];
    uint32_t strides[LAYERS];
    uint32_t layers;
    uint32_t classes;
    uint32_t elements;
    uint64_t limit;
    uint8_t model[TT_STATE_MODEL_BYTES];
    bool fixed;
    uint16_t counts[LAYERS];
    uint16_t channels[LAYERS * MAX_CHANNELS];
} build_t;

void draw_build(build_t *build);
void draw_session(const build_t *build, session_t *session);

/* Bytes of the largest state of a build. */
uint32_t largest(const build_t *build);

tt_status_t save(const build_t *build, session_t *session, medium_t *medium);

/* As tt_load of a generated build does it, into a session without anything learned. session: out. */
tt_status_t load(const build_t *build, session_t *session, medium_t *medium);

/* Whether two sessions have learned the same. */
bool same(const build_t *build, const session_t *a, const session_t *b);

#endif /* STORAGE_SESSION_H */
