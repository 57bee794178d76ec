/* SPDX-License-Identifier: Apache-2.0 */
/* The model with its memory, the samples it was given, and what to do with them. For one thread. */
#ifndef TT_ZEPHYR_LEARNER_H
#define TT_ZEPHYR_LEARNER_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_model.h"

/* Samples that can be kept. */
#define TT_ZEPHYR_SAMPLES (CONFIG_TINYTRAIN_CONSOLE_SUPPORT_BYTES / TT_MODEL_INPUT_ELEMENTS)

/* Called now and then while the board learns: `done` of `total` parts. */
typedef void (*tt_zephyr_progress_t)(uint32_t done, uint32_t total);

/* Prepares the session, opens the storage and loads what is there. loaded: out. */
tt_status_t tt_zephyr_begin(bool *loaded);

/* Pixels of the sample that enroll and predict read: [TT_MODEL_INPUT_ELEMENTS], 0..255. */
uint8_t *tt_zephyr_sample(void);

/* Keeps the sample. TT_ERROR_ROW_POOL_TOO_SMALL when TT_ZEPHYR_SAMPLES are kept. */
tt_status_t tt_zephyr_enroll(uint32_t label);

/* Learns from the samples that are kept. loss: out, of the last pass. */
tt_status_t tt_zephyr_adapt(uint32_t iterations, tt_zephyr_progress_t progress, float *loss);

/* scores: out, [TT_MODEL_CLASSES]. */
tt_status_t tt_zephyr_predict(float *scores);

tt_status_t tt_zephyr_save(void);
tt_status_t tt_zephyr_load(void);

/* Forgets what was learned and the samples; what was saved stays. */
tt_status_t tt_zephyr_reset(void);

/* Number of samples that are kept. */
uint32_t tt_zephyr_kept(void);

/* Bytes that a save takes. */
uint32_t tt_zephyr_state_bytes(void);

#endif /* TT_ZEPHYR_LEARNER_H */
