/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session.h"

static tt_status_t gradient(const tt_session_t *session, const float *output, float *gradient_out, float *scratch,
                            float *loss) {
    (void)scratch;
    return tt_softmax_cross_entropy(output, session->model->classes, session->label, gradient_out, loss);
}

const tt_loss_t tt_loss_softmax = {"softmax", TT_LABEL_CLASS, NULL, NULL, gradient};
