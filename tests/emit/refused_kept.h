/* SPDX-License-Identifier: Apache-2.0 */
/* Part of refused_calls.c, which has the session: what a call must leave as it is. */
#ifndef REFUSED_KEPT_H
#define REFUSED_KEPT_H

static struct {
    tt_session_t session;
    uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES];
    uint8_t storage[STORAGE_BYTES];
    uint8_t tensors[TENSOR_BYTES];
    size_t tensor_bytes;
} before, after;

static void fail(const char *call, const char *what) {
    if (failure[0] == '\0') {
        (void)snprintf(failure, sizeof failure, "%s: %s", call, what);
    }
}

#if TT_MODEL_INTERPRETED
static size_t add_tensor(uint8_t *to, size_t at, tt_interpreter_t *model, uint32_t index) {
    const size_t bytes = tt_interpreter_input_bytes(model, index);
    if (at + bytes <= TENSOR_BYTES) {
        memcpy(to + at, tt_interpreter_input(model, index), bytes);
    } else {
        fail("tensors", "more state than there is room for");
    }
    return at + bytes;
}

/* Everything that is kept from one run to the next. */
static size_t copy_tensors(uint8_t *to) {
    const struct tt_interpreted *model = tt_model.interpreted;
    const uint8_t kept[] = {model->in_pool,   model->in_control, model->in_rate,
                            model->in_choice, model->in_sums,    model->in_counts};
    size_t at = 0u;
    for (size_t i = 0; i < sizeof kept; ++i) {
        if (kept[i] != TT_NO_PLACE) {
            at = add_tensor(to, at, session.engine[0], kept[i]);
        }
    }
#if TT_MODEL_DYNAMIC
    for (uint32_t i = 0; i < TT_MODEL_CANDIDATES; ++i) {
        at = add_tensor(to, at, session.engine[1], model->first_potential + i);
    }
#endif
    return at;
}
#else
static size_t copy_tensors(uint8_t *to) {
    (void)to;
    return 0u;
}
#endif

#define TAKE(copy)                                                                                                     \
    do {                                                                                                               \
        (copy).session = session;                                                                                      \
        memcpy((copy).row_pool, row_pool, sizeof row_pool);                                                            \
        memcpy((copy).storage, storage_memory, sizeof storage_memory);                                                 \
        (copy).tensor_bytes = copy_tensors((copy).tensors);                                                            \
    } while (0)

static void begin(void) {
    TAKE(before);
#if !TT_MODEL_INTERPRETED
    memset(arena, 0xff, sizeof arena); /* it keeps nothing between calls */
#endif
}

/* Rows and moments. Gradients that are being added up lie behind them, and are told by the update. */
static bool rows_are_finite(void) {
    const float *state = (const float *)(const void *)(row_pool + tt_model.state_offset);
    const uint32_t gradients = tt_model.gradient_bytes;
    for (uint32_t i = 0; i < TT_MODEL_TRAINED_LAYERS; ++i) {
        if (!tt_all_finite(session.rows[i].pool, (1u + tt_model.moments) * tt_trained_elements(&session.rows[i]))) {
            return false;
        }
    }
    return tt_all_finite(state, (tt_model.state_bytes - gradients) / (uint32_t)sizeof(float));
}

/* Compares what is kept now with what was kept before. but_soundness: that may differ. */
static void expect_unchanged(const char *call, bool but_soundness) {
    TAKE(after);
    if (but_soundness) {
        after.session.soundness = before.session.soundness;
    }
    if (memcmp(&before.session, &after.session, sizeof session) != 0) {
        fail(call, "refused, and changed the session");
    }
    if (memcmp(before.row_pool, after.row_pool, sizeof row_pool) != 0) {
        fail(call, "refused, and changed the row pool");
    }
    if (memcmp(before.storage, after.storage, sizeof storage_memory) != 0) {
        fail(call, "refused, and changed the storage");
    }
    if (before.tensor_bytes != after.tensor_bytes || memcmp(before.tensors, after.tensors, before.tensor_bytes) != 0) {
        fail(call, "refused, and changed a state tensor");
    }
}

static tt_status_t end(const char *call, tt_status_t status) {
    const bool spoiled = session.soundness == TT_ROWS_NOT_FINITE;
    if (status != TT_OK && (!spoiled || before.session.soundness == TT_ROWS_NOT_FINITE)) {
        expect_unchanged(call, true);
    }
    if (status == TT_OK && spoiled && before.session.soundness != TT_ROWS_NOT_FINITE) {
        fail(call, "rows are not finite, and nobody is told");
    }
    if (!spoiled && !rows_are_finite()) {
        fail(call, "rows are not finite, and the session does not know");
    }
    return status;
}

/* Of what ends with an error half-way: only what must hold after every call. */
static tt_status_t end_half_way(const char *call, tt_status_t status) {
    if (session.soundness != TT_ROWS_NOT_FINITE && !rows_are_finite()) {
        fail(call, "rows are not finite, and the session does not know");
    }
    return status;
}

#define CALL(call) (begin(), end(#call, (call)))
#define LONG_CALL(call) (begin(), end_half_way(#call, (call)))

static tt_status_t refused(const char *call, tt_status_t status) {
    if (status == TT_OK) {
        fail(call, "accepted");
    }
    return end(call, status);
}

#define REFUSED(call) (begin(), (void)refused(#call, (call)))

#endif /* REFUSED_KEPT_H */
