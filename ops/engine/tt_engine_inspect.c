/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of generated kernels that add Fisher potentials up. */
#include <string.h>

#include "tt_engine.h"
#include "tt_session_parts.h"

tt_status_t tt_inspect_generated(tt_session_t *session, const float *x) {
    const tt_calls_t *calls = session->model->calls;
    const tt_status_t status = tt_forward_with_loss(session, x, calls->fisher_forward);
    if (status == TT_OK) {
        calls->fisher_backward(session, x);
    }
    return status;
}

void tt_clear_potentials(tt_session_t *session) {
    const tt_choice_t *choice = session->model->choice;
    memset(session->row_pool + choice->potentials_offset, 0, choice->channels * sizeof(float));
}
