/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_augment.h"

#include <math.h>
#include <stddef.h>

/* Cores with fused multiply-add would round differently from those without. GCC knows the standard's pragma in no mode,
 * and contracts in every mode but the strict ones. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* The kept part of the image: origin in pixels of the image, scale in pixels of the image per pixel of the result. */
typedef struct {
    float top;
    float left;
    float scale;
} tt_crop_t;

/* Where a coordinate of the result falls: between two neighbours, `share` of the way to the second. */
typedef struct {
    uint32_t first;
    uint32_t second;
    float share;
} tt_position_t;

static float uniform_around_zero(tt_random_t *random, float largest) {
    return (2.0f * tt_random_uniform(random) - 1.0f) * largest;
}

static tt_crop_t draw_crop(const tt_image_t *image, float min_area, tt_random_t *random) {
    const float area = min_area + (1.0f - min_area) * tt_random_uniform(random);
    tt_crop_t crop;
    crop.scale = image->height > 1u && image->width > 1u ? sqrtf(area) : area;
    crop.top = (1.0f - crop.scale) * (float)image->height * tt_random_uniform(random);
    crop.left = (1.0f - crop.scale) * (float)image->width * tt_random_uniform(random);
    return crop;
}

static tt_position_t position_of(uint32_t index, float origin, float scale, uint32_t length) {
    const float last = (float)(length - 1u);
    float place = origin + ((float)index + 0.5f) * scale - 0.5f;
    place = place < 0.0f ? 0.0f : place;
    place = place > last ? last : place;
    tt_position_t position;
    position.first = (uint32_t)place;
    position.second = position.first + 1u < length ? position.first + 1u : position.first;
    position.share = place - (float)position.first;
    return position;
}

static float between(float first, float second, float share) {
    return first + (second - first) * share;
}

/* Returns the mean of what it wrote. */
static float crop_and_resize(const float *restrict x, float *restrict out, const tt_image_t *image,
                             const tt_crop_t *crop, bool flip) {
    const uint32_t channels = image->channels;
    const size_t row_elements = (size_t)image->width * channels;
    float total = 0.0f;
    for (uint32_t row = 0; row < image->height; ++row) {
        const tt_position_t vertical = position_of(row, crop->top, crop->scale, image->height);
        const float *upper = x + vertical.first * row_elements;
        const float *lower = x + vertical.second * row_elements;
        /* Summed row by row: one sum over a large image would lose the digits of its last pixels. */
        float row_total = 0.0f;
        for (uint32_t column = 0; column < image->width; ++column) {
            const uint32_t source = flip ? image->width - 1u - column : column;
            const tt_position_t horizontal = position_of(source, crop->left, crop->scale, image->width);
            const size_t left = (size_t)horizontal.first * channels;
            const size_t right = (size_t)horizontal.second * channels;
            for (uint32_t c = 0; c < channels; ++c) {
                const float above = between(upper[left + c], upper[right + c], horizontal.share);
                const float below = between(lower[left + c], lower[right + c], horizontal.share);
                const float value = between(above, below, vertical.share);
                row_total += value;
                *out++ = value;
            }
        }
        total += row_total;
    }
    return total / ((float)image->height * (float)row_elements);
}

void tt_augment(const float *restrict x, float *restrict out, const tt_image_t *image, const tt_augment_t *options,
                tt_random_t *random) {
    const float low = options->low;
    const float high = options->high;
    const float half_range = 0.5f * high - 0.5f * low;
    const tt_crop_t crop = draw_crop(image, options->min_area, random);
    const bool reversed = tt_random_uniform(random) < 0.5f;
    const float factor = 1.0f + uniform_around_zero(random, options->contrast);
    const float shift = uniform_around_zero(random, options->brightness * half_range);

    const float mean = crop_and_resize(x, out, image, &crop, reversed && options->flip);

    /* One product and one sum, which leave a value as it is where the factor is 1 and the shift 0. */
    const float offset = mean * (1.0f - factor) + shift;
    const size_t elements = (size_t)image->height * image->width * image->channels;
    for (size_t i = 0; i < elements; ++i) {
        const float value = out[i] * factor + offset;
        out[i] = value < low ? low : value > high ? high : value;
    }
}
