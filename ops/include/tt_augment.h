/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_AUGMENT_H
#define TT_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_random.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shape of an input, channels last. A signal of one dimension has height 1. Each is 1 .. 2^24. */
typedef struct {
    uint32_t height;
    uint32_t width;
    uint32_t channels;
} tt_image_t;

/* How far an augmented image may be from the original. All floats are finite. */
typedef struct {
    float min_area;   /* smallest share of the area that a crop keeps, above 0, at most 1; 1 switches cropping off */
    bool flip;        /* whether left and right may be swapped, which is not so for digits, say */
    float brightness; /* largest shift, as a share of half the valid range, >= 0; 0 switches it off */
    float contrast;   /* the contrast factor lies in 1 - contrast .. 1 + contrast, 0 .. 1; 0 switches it off */
    float low;        /* smallest valid value of an input, after scaling */
    float high;       /* largest valid value of an input, after scaling; above low */
} tt_augment_t;

/* For images scaled to -1..1, and without flips: a tt_augment_t is initialised with it. */
#define TT_AUGMENT_DEFAULTS                                                                                            \
    { 0.6f, false, 0.3f, 0.3f, -1.0f, 1.0f }

/*
 * Makes a pseudo-query: a randomly changed copy of a sample, by these steps in this order.
 *
 * Crop: the kept share of the area is uniform in min_area .. 1, the aspect is kept, the place is uniform within the
 *   image. An image of height 1 or width 1 is cropped along its other side alone, by the whole share.
 * Resize: back to the image's shape, bilinear between the centres of pixels. The crop's edges need not fall on pixels;
 *   what lies outside of the outermost centres of the image has their value.
 * Flip: columns in reverse order, with probability 1/2 where allowed.
 * Contrast, brightness: out = mean + factor * (value - mean) + shift. The mean is that of the cropped image over all
 *   channels; factor is uniform in 1 -+ contrast, shift in -+ brightness * (high - low) / 2.
 * Clamp: to low .. high.
 *
 * With everything switched off, out equals x to the bit. Six numbers are drawn whatever the options are, so switching
 * one thing off does not change the others. The same bits come out on every platform that computes in IEEE 754 single
 * precision, as long as the file is not compiled with -ffast-math or its like; contraction to fused multiply-add is
 * switched off in it.
 *
 * x:       in, [height][width][channels], finite; its range can be wider than low .. high.
 * out:     out, [height][width][channels]; not overlapping x.
 * image:   in.
 * options: in.
 * random:  in and out, seeded.
 * No pointer is NULL. Nothing is checked here: the ranges are settings of a build. No scratch is needed.
 */
void tt_augment(const float *x, float *out, const tt_image_t *image, const tt_augment_t *options, tt_random_t *random);

#ifdef __cplusplus
}
#endif

#endif /* TT_AUGMENT_H */
