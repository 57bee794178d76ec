/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_task.h"

#if TT_MODEL_ADAPTABLE
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
#else
tt_status_t tt_sim_adapt(tt_session_t *session, const tt_sim_task_t *request, const uint32_t *labels,
                         const float *(*sample)(void *context, uint32_t index), void *context, void *workspace,
                         size_t workspace_bytes, float *losses) {
    (void)session;
    (void)request;
    (void)labels;
    (void)sample;
    (void)context;
    (void)workspace;
    (void)workspace_bytes;
    (void)losses;
    return TT_ERROR_INVALID_ARGUMENT;
}
#endif

#if TT_MODEL_DYNAMIC
tt_status_t tt_sim_select(tt_session_t *session, const tt_sim_budget_t *request) {
    tt_budget_t budget;
    budget.training_memory_bytes = request->training_memory_bytes;
    budget.ram_bytes = request->ram_bytes;
    budget.backward_macs = request->backward_macs;
    return tt_select(session, &budget);
}

tt_status_t tt_sim_choose(tt_session_t *session, const uint16_t *request) {
    return tt_choose(session, request, request + TT_MODEL_CANDIDATES);
}

tt_status_t tt_sim_fisher_accumulate(tt_session_t *session, const float *x, uint32_t label) {
    return tt_fisher_accumulate(session, x, label);
}

tt_status_t tt_sim_fisher_clear(tt_session_t *session) {
    return tt_fisher_clear(session);
}
#else
tt_status_t tt_sim_select(tt_session_t *session, const tt_sim_budget_t *request) {
    (void)session;
    (void)request;
    return TT_ERROR_INVALID_ARGUMENT;
}

tt_status_t tt_sim_choose(tt_session_t *session, const uint16_t *request) {
    (void)session;
    (void)request;
    return TT_ERROR_INVALID_ARGUMENT;
}

tt_status_t tt_sim_fisher_accumulate(tt_session_t *session, const float *x, uint32_t label) {
    (void)session;
    (void)x;
    (void)label;
    return TT_ERROR_INVALID_ARGUMENT;
}

tt_status_t tt_sim_fisher_clear(tt_session_t *session) {
    (void)session;
    return TT_ERROR_INVALID_ARGUMENT;
}
#endif
