/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_embed(tt_session_t *session, const float *x, const float **output) {
    tt_status_t status = tt_check_x(session, x);
    if (status == TT_OK) {
        status = session->model->engine->infer(session, x, output);
    }
    if (status != TT_OK) {
        return status;
    }
    const bool finite = session->model->prototypes == NULL ? tt_all_finite(*output, session->model->output_elements)
                                                           : tt_prototypes_can_compare(&session->prototypes, *output);
    return finite ? TT_OK : TT_ERROR_NOT_FINITE;
}

tt_status_t tt_embedding(tt_session_t *session, const float *x, float *embedding) {
    const float *output;
    const tt_status_t status = embedding == NULL ? TT_ERROR_NULL_POINTER : tt_embed(session, x, &output);
    if (status == TT_OK) {
        memcpy(embedding, output, session->model->output_elements * sizeof(float));
    }
    return status;
}
