/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enrolling a support set anew, a pass at a time. Prototypes change at once, with the last of the samples: until then
 * tt_predict compares with those of before, and an enrolment that is given up has changed nothing.
 */
#ifndef TT_ENROLMENT_H
#define TT_ENROLMENT_H

#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A support set. */
typedef struct {
    tt_sample_t sample;
    void *context;
    const uint32_t *labels; /* [samples] */
    uint32_t samples;
} tt_support_t;

/* An enrolment that is going on. Owned by the caller; its fields are private. */
typedef struct {
    tt_session_t *session;
    tt_support_t support;
    tt_prototypes_t fresh; /* in the workspace */
    uint32_t index;        /* of the next sample */
} tt_enrolment_t;

/* Bytes of workspace of a model with prototypes. */
#define TT_ENROLMENT_BYTES(classes, elements) (4u * (size_t)(classes) * ((elements) + 1u))

/* The same for a session that is initialised; 0 for one that is not, or whose model has no prototypes. */
TT_COLD size_t tt_enrolment_bytes(const tt_session_t *session);

/* TT_ERROR_NULL_POINTER, TT_ERROR_INVALID_ARGUMENT (no samples) or TT_ERROR_LABEL_OUT_OF_RANGE. */
TT_COLD tt_status_t tt_check_support(const tt_session_t *session, const tt_support_t *support);

/*
 * enrolment: out; while it is not done, neither it, the support set nor the workspace may go away.
 * workspace: 4-byte aligned, at least tt_enrolment_bytes(session) = workspace_bytes.
 * The errors of tt_check_support; TT_ERROR_UNSUPPORTED: no prototypes; TT_ERROR_MISALIGNED; TT_ERROR_ARENA_TOO_SMALL:
 * the workspace.
 */
TT_COLD tt_status_t tt_enrolment_begin(tt_enrolment_t *enrolment, tt_session_t *session, const tt_support_t *support,
                                       void *workspace, size_t workspace_bytes);

/* At most one pass of one sample. An error ends it: it is not to be stepped again, and prototypes are as they were. */
TT_COLD tt_status_t tt_enrolment_step(tt_enrolment_t *enrolment);

TT_COLD bool tt_enrolment_done(const tt_enrolment_t *enrolment);

#ifdef __cplusplus
}
#endif

#endif /* TT_ENROLMENT_H */
