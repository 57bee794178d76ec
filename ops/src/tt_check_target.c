/* SPDX-License-Identifier: Apache-2.0 */
/* Labels that are vectors. */
#include "tt_finite.h"
#include "tt_session_parts.h"

tt_status_t tt_check_target(const tt_session_t *session, const float *x, const float *target) {
    const tt_status_t status = target == NULL ? TT_ERROR_NULL_POINTER : tt_check_x(session, x);
    if (status != TT_OK) {
        return status;
    }
    if (session->model->loss->label != TT_LABEL_VECTOR) {
        return TT_ERROR_UNSUPPORTED;
    }
    return tt_all_finite(target, session->model->label_elements) ? TT_OK : TT_ERROR_NOT_FINITE;
}
