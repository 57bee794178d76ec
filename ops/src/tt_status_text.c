/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_status.h"

const char *tt_status_text(tt_status_t status) {
    switch (status) {
    case TT_OK:
        return "ok";
    case TT_ERROR_NULL_POINTER:
        return "a required pointer is NULL";
    case TT_ERROR_ARENA_TOO_SMALL:
        return "the arena is too small";
    case TT_ERROR_ROW_POOL_TOO_SMALL:
        return "the row pool is too small";
    case TT_ERROR_MISALIGNED:
        return "the arena or the row pool is not 16-byte aligned";
    case TT_ERROR_LABEL_OUT_OF_RANGE:
        return "the label is out of range";
    case TT_ERROR_NOT_FINITE:
        return "a value is NaN or infinite";
    case TT_ERROR_NOT_ENROLLED:
        return "the class has no enrolled sample";
    case TT_ERROR_NOT_INITIALISED:
        return "the session is not initialised";
    case TT_ERROR_INVALID_ARGUMENT:
        return "an argument is outside its range";
    case TT_ERROR_BUDGET_TOO_SMALL:
        return "the budget is too small to train one channel";
    case TT_ERROR_STORAGE:
        return "the storage failed";
    case TT_ERROR_STORAGE_TOO_SMALL:
        return "the storage is too small for two states";
    case TT_ERROR_NO_STATE:
        return "the storage holds no complete state";
    case TT_ERROR_OTHER_STATE:
        return "the stored state is of another model or plan";
    case TT_ERROR_UNSUPPORTED:
        return "the build lacks what was called";
    }
    return "unknown status";
}
