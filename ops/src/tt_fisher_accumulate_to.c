/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session_parts.h"

tt_status_t tt_fisher_accumulate_to(tt_session_t *session, const float *x, const float *target) {
    const tt_status_t status = tt_check_target(session, x, target);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->choice == NULL) {
        return TT_ERROR_UNSUPPORTED;
    }
    session->target = target;
    return tt_inspect_sample(session, x);
}
