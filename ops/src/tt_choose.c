/* SPDX-License-Identifier: Apache-2.0 */
/* The board chooses what it trains. */
#include <string.h>

#include "tt_session_parts.h"

const tt_cost_table_t *tt_cost_table(const tt_session_t *session) {
    const bool chooses = tt_check_session(session) == TT_OK && session->model->choice != NULL;
    return chooses ? session->model->choice->costs : NULL;
}

static tt_status_t check_plan(const tt_model_t *model, const uint16_t *counts, const uint16_t *channels) {
    uint64_t bytes = 0u;
    for (uint32_t i = 0; i < model->layer_count; ++i) {
        const uint16_t total = model->layer_channels[i];
        if (counts[i] > total) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
        for (uint32_t k = 0; k < counts[i]; ++k) {
            if (channels[k] >= total || (k > 0u && channels[k] <= channels[k - 1u])) {
                return TT_ERROR_INVALID_ARGUMENT;
            }
        }
        bytes += (uint64_t)counts[i] * model->choice->row_bytes[i];
        channels += total;
    }
    return bytes > model->choice->rows_bytes ? TT_ERROR_ROW_POOL_TOO_SMALL : TT_OK;
}

tt_status_t tt_choose(tt_session_t *session, const uint16_t *counts, const uint16_t *channels) {
    tt_status_t status = counts == NULL || channels == NULL ? TT_ERROR_NULL_POINTER : tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    const tt_model_t *model = session->model;
    if (model->choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    status = check_plan(model, counts, channels);
    if (status != TT_OK) {
        return status;
    }
    memmove(session->row_pool + model->choice->channels_offset, channels, model->choice->channels * sizeof(uint16_t));
    memmove(session->counts, counts, model->layer_count * sizeof(uint16_t));
    tt_start_training(session);
    return TT_OK;
}

tt_status_t tt_select(tt_session_t *session, const tt_budget_t *budget) {
    uint16_t counts[TT_MAX_CANDIDATES];
    tt_status_t status = budget == NULL ? TT_ERROR_NULL_POINTER : tt_check_session(session);
    if (status != TT_OK) {
        return status;
    }
    const tt_choice_t *choice = session->model->choice;
    if (choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    tt_budget_t limits = *budget;
    if (limits.ram_bytes > choice->ram_bytes) {
        limits.ram_bytes = choice->ram_bytes; /* no plan may outgrow the row pool */
    }
    tt_selection_t selection = {counts, (uint16_t *)(void *)(session->row_pool + choice->channels_offset)};
    status =
        tt_select_channels(choice->costs, (const float *)(const void *)(session->row_pool + choice->potentials_offset),
                           &limits, choice->share_256, &selection);
    return status == TT_OK ? tt_choose(session, counts, selection.channels) : status;
}
