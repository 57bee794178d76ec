/* SPDX-License-Identifier: Apache-2.0 */
/* Part of refused_calls.c, which has the session: what calls are given. */
#ifndef REFUSED_ARGUMENTS_H
#define REFUSED_ARGUMENTS_H

typedef struct {
    uint32_t state;
} dice_t;

static uint32_t draw(dice_t *dice, uint32_t below) {
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 17;
    dice->state ^= dice->state << 5;
    return (dice->state >> 4) % below;
}

static float draw_number(dice_t *dice) {
    return (float)draw(dice, 20001u) / 10000.0f - 1.0f;
}

static void make_samples(void) {
    dice_t dice = {99u};
    for (uint32_t k = 0; k < SAMPLES; ++k) {
        for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
            good[k][i] = draw_number(&dice);
        }
    }
    for (uint32_t i = 0; i < TT_MODEL_OUTPUT_ELEMENTS; ++i) {
        seed_gradient[i] = 0.1f * draw_number(&dice);
    }
}

static const float *sample_at(void *context, uint32_t index) {
    (void)context;
    return good[index % SAMPLES];
}

static const float *no_sample(void *context, uint32_t index) {
    (void)context;
    (void)index;
    return NULL;
}

/* Numbers that are not finite, or whose squares or sums are not. */
static const float *bad_sample(dice_t *dice, bool finite) {
    const float values[] = {3e38f, 1e20f, 2e19f, -3e38f, 1e30f, NAN, INFINITY, -INFINITY};
    const float value = values[draw(dice, finite ? 5u : 8u)];
    const uint32_t every = 1u + draw(dice, 4u);
    for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
        bad[i] = i % every == 0u ? value : good[0][i];
    }
    return bad;
}

static const float *spoiled_sample(dice_t *dice) {
    const float values[] = {NAN, INFINITY, -INFINITY};
    memcpy(bad, good[1], sizeof bad);
    bad[draw(dice, TT_MODEL_INPUT_ELEMENTS)] = values[draw(dice, 3u)];
    return bad;
}

static const float *spoiled_at(void *context, uint32_t index) {
    (void)index;
    return spoiled_sample(context);
}

static const uint32_t task_labels[SAMPLES] = {0u, 1u, 2u};
static const uint32_t wrong_labels[SAMPLES] = {0u, TT_MODEL_CLASSES, 2u};

static tt_adaptation_t task_of(dice_t *dice) {
    const tt_adaptation_t task = {
        sample_at,      NULL,           task_labels,        SAMPLES, 1u + draw(dice, 2u), draw(dice, 100u),
        draw(dice, 2u), draw(dice, 2u), TT_AUGMENT_DEFAULTS};
    return task;
}

static uint16_t counts[TT_MODEL_TRAINED_LAYERS];
static uint16_t channels[ROOM];

/* A plan that fits; wrong: one that does not ascend, or has more channels than there are. */
static void draw_plan(dice_t *dice, bool wrong) {
    uint16_t *room = channels;
    uint32_t bytes = 0u;
    memset(counts, 0, sizeof counts);
    memset(channels, 0, sizeof channels);
    for (uint32_t i = 0; tt_model.choice != NULL && i < TT_MODEL_TRAINED_LAYERS; ++i) {
        const uint16_t total = tt_model.layer_channels[i];
        for (uint16_t c = 0; c < total; ++c) {
            if (draw(dice, 3u) == 0u && bytes + tt_model.choice->row_bytes[i] <= tt_model.choice->rows_bytes) {
                room[counts[i]++] = c;
                bytes += tt_model.choice->row_bytes[i];
            }
        }
        if (wrong && i == 0u) {
            counts[0] = 2u;
            room[0] = room[1] = 0u;
        }
        room += total;
    }
}

#endif /* REFUSED_ARGUMENTS_H */
