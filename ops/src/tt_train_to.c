/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session_parts.h"

tt_status_t tt_train_step_to(tt_session_t *session, const float *x, const float *target, float *loss) {
    const tt_status_t status = tt_check_target(session, x, target);
    if (status != TT_OK) {
        return status;
    }
    session->target = target;
    return tt_train(session, x, loss);
}
