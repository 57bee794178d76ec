/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session_parts.h"

tt_status_t tt_set_pulse(tt_session_t *session, tt_pulse_t pulse, void *context) {
    const tt_status_t status = tt_check_session(session);
    if (status == TT_OK) {
        session->pulse = pulse;
        session->pulse_context = context;
    }
    return status;
}
