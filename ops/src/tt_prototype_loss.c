/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session.h"

static tt_status_t check(const tt_session_t *session, uint32_t label) {
    return session->prototypes.counts[label] == 0u ? TT_ERROR_NOT_ENROLLED : TT_OK;
}

static tt_status_t scores(const tt_session_t *session, const float *output, float *scores_out) {
    return tt_prototypes_scores(&session->prototypes, output, scores_out);
}

static tt_status_t gradient(const tt_session_t *session, const float *output, float *gradient_out, float *scratch,
                            float *loss) {
    return tt_prototypes_loss(&session->prototypes, output, session->label, scratch, gradient_out, loss);
}

const tt_loss_t tt_loss_prototype = {"prototype", TT_LABEL_CLASS, check, scores, gradient};
