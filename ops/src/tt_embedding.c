/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_embedding(tt_session_t *session, const float *x, float *embedding) {
    const float *output;
    tt_status_t status = embedding == NULL ? TT_ERROR_NULL_POINTER : tt_check_x(session, x);
    if (status != TT_OK) {
        return status;
    }
    const tt_model_t *model = session->model;
    status = model->engine->infer(session, x, &output);
    if (status != TT_OK) {
        return status;
    }
    if (!tt_all_finite(output, model->output_elements)) {
        return TT_ERROR_NOT_FINITE;
    }
    memcpy(embedding, output, model->output_elements * sizeof(float));
    return TT_OK;
}
