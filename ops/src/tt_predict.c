/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_predict(tt_session_t *session, const float *x, float *scores) {
    const float *output;
    tt_status_t status = scores == NULL ? TT_ERROR_NULL_POINTER : tt_check_x(session, x);
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
    if (model->loss->scores != NULL) {
        return model->loss->scores(session, output, scores);
    }
    memcpy(scores, output, model->classes * sizeof(float));
    return TT_OK;
}
