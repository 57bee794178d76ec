/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_session_parts.h"

size_t tt_arena_used(const tt_session_t *session) {
    if (tt_check_session(session) != TT_OK) {
        return 0u;
    }
    const tt_model_t *model = session->model;
    return model->engine->arena_used == NULL ? model->arena_bytes : model->engine->arena_used(session);
}
