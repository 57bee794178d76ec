/* SPDX-License-Identifier: Apache-2.0 */
/* What simulations ask of builds that choose or adapt: requests as they are sent, turned into calls of the model. */
#ifndef TT_SIM_TASK_H
#define TT_SIM_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "tt_sim_model.h"

/* Most samples of a support set in a simulation. */
#define TT_SIM_MAX_SAMPLES 256u

/* Follows TT_SIM_ADAPT, and is followed by the labels: samples words. */
typedef struct {
    uint32_t samples;
    uint32_t iterations;
    uint32_t seed;
    uint32_t exact;
    uint32_t paced;
    uint32_t flip;
    float min_area;
    float brightness;
    float contrast;
    float low;
    float high;
} tt_sim_task_t;

/* Follows TT_SIM_SELECT: the limits, all ones for none. */
typedef struct {
    uint64_t training_memory_bytes;
    uint64_t ram_bytes;
    uint64_t backward_macs;
} tt_sim_budget_t;

/* Bytes of a workspace for TT_SIM_MAX_SAMPLES; 1 where the build does not adapt. */
#if TT_MODEL_ADAPTABLE
#define TT_SIM_WORKSPACE_BYTES TT_MODEL_ADAPT_WORKSPACE_BYTES(TT_SIM_MAX_SAMPLES)
#else
#define TT_SIM_WORKSPACE_BYTES 1u
#endif

/* tt_adapt for a request. sample: gives sample index for context, see tt_model.h. losses: out, [iterations]. */
tt_status_t tt_sim_adapt(tt_session_t *session, const tt_sim_task_t *request, const uint32_t *labels,
                         const float *(*sample)(void *context, uint32_t index), void *context, void *workspace,
                         size_t workspace_bytes, float *losses);

/* tt_select for a request. */
tt_status_t tt_sim_select(tt_session_t *session, const tt_sim_budget_t *request);

/* tt_choose for a request: the counts of all candidates, then the rooms of all their channels. */
tt_status_t tt_sim_choose(tt_session_t *session, const uint16_t *request);

/* tt_init of the model. */
tt_status_t tt_sim_init(tt_session_t *session, void *arena, size_t arena_bytes, void *row_pool, size_t row_pool_bytes);

#endif /* TT_SIM_TASK_H */
