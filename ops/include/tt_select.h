/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which layers and channels to train for the task at hand (Kwon et al., TinyTrain, 2024): tt_select_channels takes
 * layers by falling score while every budget holds, and within a layer the channels with the largest Fisher potential.
 * It chooses, to the channel, what tt_tflm.plan.select of the Python package chooses.
 *
 * The tables are constant data of a generated build. Candidates, the layers that may be trained, are numbered in
 * forward order; a guard is a bit mask over them, candidate i being bit i: what has guard g is needed by a plan exactly
 * if the plan trains a candidate of g.
 */
#ifndef TT_SELECT_H
#define TT_SELECT_H

#include <stdint.h>

#include "tt_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_MAX_CANDIDATES 64u

/* As a limit of tt_budget_t: no limit. */
#define TT_BUDGET_NONE UINT64_MAX

/* A share of channels is given in 256ths. */
#define TT_SHARE_ALL 256u

/* A layer that may be trained. */
typedef struct {
    uint16_t channels;       /* output channels, at least 1 */
    uint32_t parameters;     /* weights and biases, at least 1 */
    uint32_t forward_macs;   /* multiply-accumulates of its forward pass, at least 1 */
    uint32_t row_parameters; /* numbers that change when one channel is trained */
    uint32_t row_bytes;      /* RAM of one trained channel: row, gradient and optimiser moments as stored */
    uint32_t channel_macs;   /* multiply-accumulates of the weight gradient of one channel */
} tt_candidate_t;

/* A forward tensor: kept whole if full_guard is hit, else as a mask if mask_guard is hit, else not at all. */
typedef struct {
    uint64_t full_guard;
    uint64_t mask_guard;
    uint32_t full_bytes;
    uint32_t mask_bytes;
} tt_saved_tensor_t;

/* A backward computation that is no weight gradient. */
typedef struct {
    uint64_t guard;
    uint32_t macs;
} tt_mac_item_t;

typedef struct {
    const tt_candidate_t *candidates; /* [candidate_count] */
    const tt_saved_tensor_t *tensors; /* [tensor_count]; may be NULL when there is none */
    const tt_mac_item_t *mac_items;   /* [mac_item_count]; may be NULL when there is none */
    uint32_t candidate_count;         /* 1 .. TT_MAX_CANDIDATES */
    uint32_t tensor_count;
    uint32_t mac_item_count;
    uint32_t fixed_ram_bytes; /* what of the RAM does not depend on the plan */
} tt_cost_table_t;

/* Limits, all binding; TT_BUDGET_NONE for those that are not wanted. */
typedef struct {
    uint64_t training_memory_bytes; /* rows, gradients, moments, and what the forward pass keeps for backward */
    uint64_t ram_bytes;             /* everything as placed */
    uint64_t backward_macs;         /* of one backward pass */
} tt_budget_t;

typedef struct {
    uint64_t training_memory_bytes;
    uint64_t ram_bytes;
    uint64_t backward_macs;
    uint64_t updated_parameters;
} tt_plan_cost_t;

/*
 * What is trained. The caller owns both arrays.
 *
 * The list of candidate i begins where those of the candidates before it would end if all their channels were chosen:
 * at the sum of channels of the candidates 0 .. i-1. Its first counts[i] entries are the chosen channels, ascending.
 */
typedef struct {
    uint16_t *counts;   /* [candidate_count]: number of trained channels, 0 for a frozen layer */
    uint16_t *channels; /* [tt_cost_table_channels(table)] */
} tt_selection_t;

/*
 * The channels of all candidates together: the length of the potentials and of the channel lists of a selection.
 *
 * table: in, not NULL, its candidates neither.
 */
uint32_t tt_cost_table_channels(const tt_cost_table_t *table);

/*
 * What a plan costs.
 *
 * table:  in.
 * counts: in, [candidate_count]: trained channels of each candidate.
 * cost:   out.
 * Returns TT_OK; TT_ERROR_NULL_POINTER; TT_ERROR_INVALID_ARGUMENT (a table outside the ranges above, or a count above
 * its channels). On an error nothing is written.
 */
tt_status_t tt_plan_cost(const tt_cost_table_t *table, const uint16_t *counts, tt_plan_cost_t *cost);

/*
 * Chooses layers and channels. With P the sum of a layer's potentials, W its parameters and M its forward MACs, the
 * score is P / (W / max W * M / max M), in single precision, sums by rising channel.
 *
 * First, by falling score: each layer gets its share of channels or as many as all budgets allow, and is left out where
 * not even one fits. Then, in the same order: each chosen layer gets as many more as still fit. Ties between layers and
 * between channels go to the lower number.
 *
 * table:      in.
 * potentials: in, [tt_cost_table_channels(table)]: of candidate after candidate, finite and at least 0. A common factor
 *             changes nothing but rounding.
 * budget:     in.
 * share_256:  share of a layer's channels to take at first, in 256ths, 0 .. TT_SHARE_ALL; rounded down to a number of
 *             channels, at least one.
 * selection:  out; the entries of channels beyond the counts are left as they are.
 * The arrays do not overlap. Uses about 600 bytes of stack; the time goes with 32 passes over the potentials.
 *
 * Returns TT_OK; TT_ERROR_NULL_POINTER; TT_ERROR_INVALID_ARGUMENT (a table or share outside its range, or a negative
 * potential); TT_ERROR_NOT_FINITE (a potential); TT_ERROR_BUDGET_TOO_SMALL (not one channel of one layer fits). On an
 * error nothing is written.
 */
tt_status_t tt_select_channels(const tt_cost_table_t *table, const float *potentials, const tt_budget_t *budget,
                               uint32_t share_256, tt_selection_t *selection);

#ifdef __cplusplus
}
#endif

#endif /* TT_SELECT_H */
