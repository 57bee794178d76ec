/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_select.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tt_finite.h"

#define TT_FLOAT_SIGN 0x80000000u
#define TT_FLOAT_TOP_BIT 0x40000000u

static tt_status_t check_table(const tt_cost_table_t *table) {
    if (table == NULL || table->candidates == NULL || (table->tensors == NULL && table->tensor_count > 0u) ||
        (table->mac_items == NULL && table->mac_item_count > 0u)) {
        return TT_ERROR_NULL_POINTER;
    }
    if (table->candidate_count == 0u || table->candidate_count > TT_MAX_CANDIDATES) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        const tt_candidate_t *candidate = &table->candidates[i];
        if (candidate->channels == 0u || candidate->parameters == 0u || candidate->forward_macs == 0u) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }
    return TT_OK;
}

static void add_up(const tt_cost_table_t *table, const uint16_t *counts, tt_plan_cost_t *cost) {
    uint64_t chosen = 0u;
    uint64_t rows = 0u;
    uint64_t saved = 0u;
    uint64_t macs = 0u;
    uint64_t parameters = 0u;
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        const tt_candidate_t *candidate = &table->candidates[i];
        const uint64_t count = counts[i];
        chosen |= (uint64_t)(count > 0u) << i;
        rows += count * candidate->row_bytes;
        macs += count * candidate->channel_macs;
        parameters += count * candidate->row_parameters;
    }
    for (uint32_t i = 0; i < table->tensor_count; ++i) {
        const tt_saved_tensor_t *tensor = &table->tensors[i];
        if ((tensor->full_guard & chosen) != 0u) {
            saved += tensor->full_bytes;
        } else if ((tensor->mask_guard & chosen) != 0u) {
            saved += tensor->mask_bytes;
        }
    }
    for (uint32_t i = 0; i < table->mac_item_count; ++i) {
        if ((table->mac_items[i].guard & chosen) != 0u) {
            macs += table->mac_items[i].macs;
        }
    }
    cost->training_memory_bytes = rows + saved;
    cost->ram_bytes = table->fixed_ram_bytes + rows;
    cost->backward_macs = macs;
    cost->updated_parameters = parameters;
}

/* How many channels keep a limit of which the first one leaves `spent` used: 0 .. most. */
static uint32_t within(uint64_t limit, uint64_t spent, uint32_t per_channel, uint32_t most) {
    if (limit == TT_BUDGET_NONE) {
        return most;
    }
    if (spent > limit) {
        return 0u;
    }
    /* Divides only where the answer is below `most`: 64-bit division is a library call on most boards. */
    const uint64_t left = limit - spent;
    if (left >= (uint64_t)per_channel * (most - 1u)) {
        return most;
    }
    return 1u + (uint32_t)(left / per_channel);
}

/* The most channels of a candidate that keep all limits with the other counts as they are. Changes counts[index]. */
static uint16_t most_channels(const tt_cost_table_t *table, uint16_t *counts, uint32_t index,
                              const tt_budget_t *budget) {
    const tt_candidate_t *candidate = &table->candidates[index];
    tt_plan_cost_t one;
    counts[index] = 1u;
    add_up(table, counts, &one);
    uint32_t most = candidate->channels;
    most = within(budget->training_memory_bytes, one.training_memory_bytes, candidate->row_bytes, most);
    if (most > 0u) {
        most = within(budget->ram_bytes, one.ram_bytes, candidate->row_bytes, most);
    }
    if (most > 0u) {
        most = within(budget->backward_macs, one.backward_macs, candidate->channel_macs, most);
    }
    return (uint16_t)most;
}

static float score_of(const tt_candidate_t *candidate, const float *potentials, float largest_parameters,
                      float largest_macs) {
    float sum = 0.0f;
    for (uint32_t o = 0; o < candidate->channels; ++o) {
        sum += potentials[o];
    }
    const float memory = (float)candidate->parameters / largest_parameters;
    const float compute = (float)candidate->forward_macs / largest_macs;
    return sum / (memory * compute);
}

/* order: out, the candidates by falling score, the lower number first where scores are equal. */
static void rank(const tt_cost_table_t *table, const float *potentials, uint8_t *order) {
    float scores[TT_MAX_CANDIDATES];
    uint32_t largest_parameters = 0u;
    uint32_t largest_macs = 0u;
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        const tt_candidate_t *candidate = &table->candidates[i];
        largest_parameters = candidate->parameters > largest_parameters ? candidate->parameters : largest_parameters;
        largest_macs = candidate->forward_macs > largest_macs ? candidate->forward_macs : largest_macs;
    }
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        const float score = score_of(&table->candidates[i], potentials, (float)largest_parameters, (float)largest_macs);
        uint32_t at = i;
        while (at > 0u && scores[at - 1u] < score) {
            scores[at] = scores[at - 1u];
            order[at] = order[at - 1u];
            --at;
        }
        scores[at] = score;
        order[at] = (uint8_t)i;
        potentials += table->candidates[i].channels;
    }
}

/* Bits of a potential, rising with it: it is not negative, except that zero may have a sign. */
static uint32_t bits_of(const float *potential) {
    uint32_t bits;
    memcpy(&bits, potential, sizeof bits);
    return bits & ~TT_FLOAT_SIGN;
}

/* The bits of the count-th largest potential, found from the top bit down. 1 <= count <= channels. */
static uint32_t threshold_of(const float *potentials, uint32_t channels, uint32_t count) {
    uint32_t threshold = 0u;
    for (uint32_t bit = TT_FLOAT_TOP_BIT; bit > 0u; bit >>= 1) {
        uint32_t at_least = 0u;
        for (uint32_t o = 0; o < channels; ++o) {
            at_least += bits_of(&potentials[o]) >= (threshold | bit) ? 1u : 0u;
        }
        if (at_least >= count) {
            threshold |= bit;
        }
    }
    return threshold;
}

/* chosen: out, [count]: the channels with the largest potentials, ascending. 1 <= count <= channels. */
static void pick(const float *potentials, uint32_t channels, uint32_t count, uint16_t *chosen) {
    const uint32_t threshold = threshold_of(potentials, channels, count);
    uint32_t ties = count;
    for (uint32_t o = 0; o < channels; ++o) {
        ties -= bits_of(&potentials[o]) > threshold ? 1u : 0u;
    }
    for (uint32_t o = 0; o < channels; ++o) {
        const uint32_t bits = bits_of(&potentials[o]);
        if (bits > threshold) {
            *chosen++ = (uint16_t)o;
        } else if (bits == threshold && ties > 0u) {
            *chosen++ = (uint16_t)o;
            --ties;
        }
    }
}

/* counts: out, [candidate_count]. Returns whether any channel is chosen. */
static bool fill(const tt_cost_table_t *table, const uint8_t *order, const tt_budget_t *budget, uint32_t share_256,
                 uint16_t *counts) {
    bool any = false;
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        counts[i] = 0u;
    }
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        const uint32_t index = order[i];
        const uint32_t share = table->candidates[index].channels * share_256 / TT_SHARE_ALL;
        const uint16_t target = share > 0u ? (uint16_t)share : 1u;
        const uint16_t most = most_channels(table, counts, index, budget);
        counts[index] = target < most ? target : most;
        any = any || most > 0u;
    }
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        if (counts[order[i]] > 0u) {
            counts[order[i]] = most_channels(table, counts, order[i], budget);
        }
    }
    return any;
}

uint32_t tt_cost_table_channels(const tt_cost_table_t *table) {
    uint32_t channels = 0u;
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        channels += table->candidates[i].channels;
    }
    return channels;
}

tt_status_t tt_plan_cost(const tt_cost_table_t *table, const uint16_t *counts, tt_plan_cost_t *cost) {
    const tt_status_t status = check_table(table);
    if (status != TT_OK) {
        return status;
    }
    if (counts == NULL || cost == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        if (counts[i] > table->candidates[i].channels) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }
    add_up(table, counts, cost);
    return TT_OK;
}

tt_status_t tt_select_channels(const tt_cost_table_t *table, const float *potentials, const tt_budget_t *budget,
                               uint32_t share_256, tt_selection_t *selection) {
    const tt_status_t status = check_table(table);
    if (status != TT_OK) {
        return status;
    }
    if (potentials == NULL || budget == NULL || selection == NULL || selection->counts == NULL ||
        selection->channels == NULL) {
        return TT_ERROR_NULL_POINTER;
    }
    if (share_256 > TT_SHARE_ALL) {
        return TT_ERROR_INVALID_ARGUMENT;
    }
    const uint32_t channels = tt_cost_table_channels(table);
    if (!tt_all_finite(potentials, channels)) {
        return TT_ERROR_NOT_FINITE;
    }
    for (uint32_t o = 0; o < channels; ++o) {
        if (potentials[o] < 0.0f) {
            return TT_ERROR_INVALID_ARGUMENT;
        }
    }

    uint8_t order[TT_MAX_CANDIDATES];
    uint16_t counts[TT_MAX_CANDIDATES];
    rank(table, potentials, order);
    if (!fill(table, order, budget, share_256, counts)) {
        return TT_ERROR_BUDGET_TOO_SMALL;
    }
    uint16_t *chosen = selection->channels;
    for (uint32_t i = 0; i < table->candidate_count; ++i) {
        selection->counts[i] = counts[i];
        if (counts[i] > 0u) {
            pick(potentials, table->candidates[i].channels, counts[i], chosen);
        }
        potentials += table->candidates[i].channels;
        chosen += table->candidates[i].channels;
    }
    return TT_OK;
}
