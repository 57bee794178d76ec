/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a build says of its model: constant data that the runtime works by. Generated; applications read what they need
 * for their memory (the header of a build has the same numbers as macros) and leave the rest alone.
 */
#ifndef TT_MODEL_TYPE_H
#define TT_MODEL_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tt_augment.h"
#include "tt_int8_rows.h"
#include "tt_loss.h"
#include "tt_optimizer.h"
#include "tt_rows.h"
#include "tt_select.h"
#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_FINGERPRINT_BYTES 8u

typedef struct tt_session tt_session_t;
typedef struct tt_model tt_model_t;

/* Called between kernels, see tt_set_pulse. */
typedef void (*tt_pulse_t)(void *context);

/*
 * Who runs the passes. Arguments have been checked; a pass that fails has changed no row, gradient, moment or potential.
 * Of the session, label, target, scale and loss belong to the call that is running.
 */
typedef struct {
    /* Place what the engine keeps, and the rows of the session. arena_bytes: as given to tt_init. */
    tt_status_t (*open)(tt_session_t *session, size_t arena_bytes);
    /* The rows of the plan anew: from the base, moments and gradients 0. */
    void (*start_rows)(tt_session_t *session);
    /* Have the rows in session->rows[].pool where that is put off; NULL where it never is. placed: out, they had not
     * been there, and start_rows undoes it. */
    tt_status_t (*need_rows)(tt_session_t *session, bool *placed);
    /* session->rows[].pool has been written from outside. NULL where nothing is to do. */
    void (*rows_changed)(tt_session_t *session);
    /* Forward pass. output: out, [output_elements], valid until the next pass. */
    tt_status_t (*infer)(tt_session_t *session, const float *x, const float **output);
    /* One sample of tt_train_step, update included where the batch is full. Sets session->loss. */
    tt_status_t (*train)(tt_session_t *session, const float *x);
    /* The loss of one sample, its gradient times session->scale added up; no update. Sets session->loss.
     * scratch: [output_elements + classes]. */
    tt_status_t (*add_loss)(tt_session_t *session, const float *x, float *scratch);
    /* Forward, then backward from output_gradient, [output_elements], added up; no update. */
    tt_status_t (*add_seed)(tt_session_t *session, const float *x, const float *output_gradient);
    /* Update the rows by the gradient that was added up, and clear it. */
    tt_status_t (*update)(tt_session_t *session);
    void (*clear_gradients)(tt_session_t *session);
    /* Add the Fisher potentials of one sample. NULL where the plan is fixed. Sets session->loss. */
    tt_status_t (*inspect)(tt_session_t *session, const float *x);
    void (*clear_potentials)(tt_session_t *session);
    /* session->hyper has been written. NULL where nothing is to do. */
    void (*hyper_changed)(tt_session_t *session);
    /* Updates that the rows have seen beyond session->steps. NULL: none. */
    uint32_t (*steps)(const tt_session_t *session);
    size_t (*arena_used)(const tt_session_t *session); /* NULL: all of it */
} tt_engine_t;

/* A layer that is, or may be, trained. */
typedef struct {
    const float *base;               /* [channels][stride]; NULL where the forward pass is int8 or interpreted */
    const tt_int8_rows_t *int8_base; /* NULL where the forward pass is not int8 */
    const uint16_t *chosen;          /* [trained], ascending; NULL where the board chooses */
    const uint16_t *slots;           /* [channels]; NULL where the board chooses, or the model is interpreted */
    uint32_t stride;                 /* floats of a row */
    uint32_t trained;                /* 0 where the board chooses */
    uint32_t pool_offset;            /* of its rows in the row pool, or in the pool of the interpreter, bytes */
    uint32_t shadow_offset;          /* of its int8 rows in the row pool, bytes */
} tt_layer_t;

/* Where the board chooses. */
typedef struct {
    const tt_cost_table_t *costs;
    const uint32_t *row_bytes; /* [layers]: of a trained row and all that is kept beside it */
    tt_budget_t budget;        /* of the conversion */
    uint32_t share_256;
    uint32_t rows_bytes; /* room for trained rows, gradients and moments */
    uint32_t ram_bytes;  /* arena, row pool and session as the plan has them: what tt_select reckons with */
    uint32_t channels;   /* of all candidates */
    uint32_t copies;     /* of each row: itself, moments, gradient */
    uint32_t potentials_offset;
    uint32_t slots_offset;
    uint32_t channels_offset;
    uint32_t rows_offset;
} tt_choice_t;

/* Where prototypes are. */
typedef struct {
    uint32_t sums_offset;   /* in the row pool */
    uint32_t counts_offset; /* in the row pool */
    float temperature;
} tt_prototype_place_t;

/* The calls of a model whose kernels are generated C. */
typedef struct {
    const float *(*predict)(tt_session_t *session, const float *x); /* the output */
    void (*train_forward)(tt_session_t *session, const float *x);   /* sets session->loss */
    float *(*loss_gradient)(tt_session_t *session);                 /* where backward expects it */
    void (*train_backward)(tt_session_t *session, const float *x);
    void (*apply_update)(tt_session_t *session);                   /* NULL where gradients are not added up */
    void (*fisher_forward)(tt_session_t *session, const float *x); /* NULL where the plan is fixed */
    void (*fisher_backward)(tt_session_t *session, const float *x);
} tt_calls_t;

struct tt_interpreted; /* ops/tflm */

struct tt_model {
    const char *input_shape; /* "height,width,channels" */
    uint8_t fingerprint[TT_FINGERPRINT_BYTES];
    const tt_engine_t *engine;
    const tt_calls_t *calls;                  /* of the C engine, else NULL */
    const struct tt_interpreted *interpreted; /* of the TFLM engine, else NULL */
    const tt_loss_t *loss;
    const tt_optimizer_t *optimizer;
    const float *hyper; /* [optimizer->hyper_elements]: as converted */
    const tt_layer_t *layers;
    const uint16_t *layer_numbers;          /* [layer_count]: in the model */
    const uint16_t *layer_channels;         /* [layer_count]: of the layer */
    const tt_choice_t *choice;              /* NULL where the plan is fixed */
    const tt_prototype_place_t *prototypes; /* NULL where the loss has none */
    tt_image_t image;                       /* how augmentation sees the input */
    float input_scale;                      /* a pixel of 0 .. 255 times this ... */
    float input_shift;                      /* ... plus this is what the model takes */
    uint32_t input_elements;
    uint32_t output_elements;
    uint32_t classes;        /* length of the scores */
    uint32_t label_elements; /* of a target; 1 where the label is a class */
    uint32_t layer_count;
    uint32_t batch_size;
    bool accumulates; /* gradients are kept until an update */
    bool fused;       /* the update is part of the gradient kernel */
    bool int8;
    uint32_t moments; /* of the optimiser behind the rows of a layer; 0 where a fixed plan keeps them at state_offset */
    uint32_t state_offset; /* moments and gradients of a fixed plan in the row pool ... */
    uint32_t state_bytes;
    uint32_t gradient_offset; /* ... and of these the gradients */
    uint32_t gradient_bytes;
    uint32_t tables_offset; /* of the arrays of the session in the row pool */
    uint32_t largest_state; /* bytes of the largest state that tt_save writes */
    size_t arena_bytes;
    size_t row_pool_bytes;
};

/* Bytes of the arrays that a session keeps at the end of its row pool; offsets are multiples of 8. */
#define TT_TABLE_BYTES(count, type) (((count) * sizeof(type) + 7u) / 8u * 8u)
#define TT_TABLES_BYTES(layers, is_int8, hyper_elements, scores, is_dynamic)                                           \
    (TT_TABLE_BYTES(layers, tt_rows_t) + ((is_int8) ? TT_TABLE_BYTES(layers, tt_int8_rows_t) : 0u) +                   \
     TT_TABLE_BYTES(hyper_elements, float) + TT_TABLE_BYTES(scores, float) +                                           \
     ((is_dynamic) ? TT_TABLE_BYTES(layers, uint16_t) : 0u))

/* Bytes of a row pool, a multiple of 16. */
#define TT_ROW_POOL_BYTES(regions, tables) (((size_t)(regions) + (tables) + 15u) / 16u * 16u)

#ifdef __cplusplus
}
#endif

#endif /* TT_MODEL_TYPE_H */
