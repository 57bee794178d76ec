/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_task.h"

tt_status_t tt_sim_adapt(tt_session_t *session, const tt_sim_task_t *request, const uint32_t *labels,
                         const float *(*sample)(void *context, uint32_t index), void *context, void *workspace,
                         size_t workspace_bytes, float *losses) {
    tt_adaptation_t task;
    task.sample = sample;
    task.context = context;
    task.labels = labels;
    task.samples = request->samples;
    task.iterations = request->iterations;
    task.seed = request->seed;
    task.exact = request->exact;
    task.paced = request->paced;
    task.augment.min_area = request->min_area;
    task.augment.flip = request->flip != 0u;
    task.augment.brightness = request->brightness;
    task.augment.contrast = request->contrast;
    task.augment.low = request->low;
    task.augment.high = request->high;
    return tt_adapt(session, &task, workspace, workspace_bytes, losses);
}

tt_status_t tt_sim_select(tt_session_t *session, const tt_sim_budget_t *request) {
    tt_budget_t budget;
    budget.training_memory_bytes = request->training_memory_bytes;
    budget.ram_bytes = request->ram_bytes;
    budget.backward_macs = request->backward_macs;
    return tt_select(session, &budget);
}

tt_status_t tt_sim_choose(tt_session_t *session, const uint16_t *request) {
    return tt_choose(session, request, request + TT_MODEL_TRAINED_LAYERS);
}

tt_status_t tt_sim_init(tt_session_t *session, void *arena, size_t arena_bytes, void *row_pool, size_t row_pool_bytes) {
    return tt_init(session, &TT_SIM_MODEL, arena, arena_bytes, row_pool, row_pool_bytes);
}
