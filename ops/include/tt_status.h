/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_STATUS_H
#define TT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Of functions that run seldom: compiled for size, whatever the rest is compiled for. */
#if defined(__GNUC__)
#define TT_COLD __attribute__((cold))
#else
#define TT_COLD
#endif

/*
 * What every call of the device runtime and of a generated model answers. The values are part of the
 * interface: they never change, new ones are appended.
 */
typedef enum {
    TT_OK = 0,
    TT_ERROR_NULL_POINTER = 1,       /* a required pointer was NULL */
    TT_ERROR_ARENA_TOO_SMALL = 2,    /* fewer than TT_MODEL_ARENA_BYTES were offered */
    TT_ERROR_ROW_POOL_TOO_SMALL = 3, /* fewer than TT_MODEL_ROW_POOL_BYTES were offered */
    TT_ERROR_MISALIGNED = 4,         /* arena or row pool not on a 16-byte boundary */
    TT_ERROR_LABEL_OUT_OF_RANGE = 5, /* label >= number of classes */
    TT_ERROR_NOT_FINITE = 6,         /* NaN or infinity in an input, or arising from it */
    TT_ERROR_NOT_ENROLLED = 7,       /* the class (or, for scores, every class) has no enrolled sample */
    TT_ERROR_NOT_INITIALISED = 8,    /* the session has not been through tt_init */
    TT_ERROR_INVALID_ARGUMENT = 9,   /* a size or setting outside its documented range */
    TT_ERROR_BUDGET_TOO_SMALL = 10,  /* not one channel of one layer keeps every budget */
    TT_ERROR_STORAGE = 11,           /* a function of the storage failed, or it did not keep what was written */
    TT_ERROR_STORAGE_TOO_SMALL = 12, /* a slot, half of the storage, holds fewer than tt_state_bytes */
    TT_ERROR_NO_STATE = 13,          /* the storage holds no complete state */
    TT_ERROR_OTHER_STATE = 14,       /* the storage holds complete states, but of another model or plan */
    TT_ERROR_UNSUPPORTED = 15 /* the build lacks it: it has no prototypes, keeps no gradients, has a fixed plan */
} tt_status_t;

/*
 * status: any value, also one that is not listed above.
 * Returns a constant, NUL-terminated English text; never NULL.
 */
TT_COLD const char *tt_status_text(tt_status_t status);

#ifdef __cplusplus
}
#endif

#endif /* TT_STATUS_H */
