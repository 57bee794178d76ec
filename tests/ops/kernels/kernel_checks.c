/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kernel on arrays of exactly the documented size, for sanitisers to watch. What a convolution is linear in is
 * tested, too: the sum of g * y is the sum of x * dx, and the sum of row * d.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tt_activation.h"
#include "tt_conv2d.h"
#include "tt_depthwise_conv2d.h"
#include "tt_elementwise.h"
#include "tt_layout.h"
#include "tt_pool.h"

static uint32_t state = 1u;

static float *array(int32_t count) {
    float *values = malloc((size_t)count * sizeof(float));
    for (int32_t i = 0; i < count; ++i) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 16) / 32768.0f - 1.0f;
    }
    return values;
}

static double dot(const float *a, const float *b, int32_t count) {
    double sum = 0.0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void same(double a, double b, const tt_window_t *w, const char *what) {
    if (fabs(a - b) > 1e-3 * (1.0 + fabs(a))) {
        fprintf(stderr, "%s: %g and %g, %dx%dx%d to %dx%dx%d, window %dx%d\n", what, a, b, w->H, w->W, w->C, w->OH,
                w->OW, w->O, w->kh, w->kw);
        exit(1);
    }
}

static void check_convolution(const tt_window_t *w, bool depthwise) {
    const int32_t weights = w->kh * w->kw * (depthwise ? 1 : w->C);
    const int32_t stride = (weights + 2) / 2 * 2;
    const int32_t inputs = w->H * w->W * w->C;
    const int32_t outputs = w->OH * w->OW * w->O;
    float *x = array(inputs);
    float *y = array(outputs);
    float *g = array(outputs);
    float *dx = array(inputs);
    float *base = array(w->O * stride);
    float *d = array(w->O * stride);
    uint16_t *channels = malloc((size_t)w->O * sizeof(uint16_t));
    for (int32_t o = 0; o < w->O; ++o) {
        channels[o] = (uint16_t)o;
        base[o * stride + weights] = 0.0f;
    }
    const tt_rows_t rows = {base, NULL, NULL, channels, (uint32_t)stride, (uint32_t)w->O};
    if (depthwise) {
        const uint32_t bytes = tt_depthwise_packed_bytes(w);
        float *packed = malloc(bytes);
        if (tt_depthwise_pack_rows(w, &rows, packed, bytes) != TT_OK) {
            exit(1);
        }
        tt_depthwise_conv2d(w, x, packed, NULL, -FLT_MAX, FLT_MAX, y);
        tt_depthwise_conv2d_grad_input(w, g, packed, false, dx);
        tt_depthwise_conv2d_grad_weights(w, x, g, &rows, 1.0f, TT_GRADIENT_WEIGHTS, d);
        same(dot(g, y, outputs), dot(x, dx, inputs), w, "depthwise input gradient");
        tt_depthwise_conv2d_grad_input(w, g, packed, true, dx);
        same(2.0 * dot(g, y, outputs), dot(x, dx, inputs), w, "depthwise input gradient, accumulated");
        free(packed);
    } else {
        tt_conv2d(w, x, &rows, NULL, -FLT_MAX, FLT_MAX, y);
        tt_conv2d_grad_input(w, g, &rows, false, dx);
        tt_conv2d_grad_weights(w, x, g, &rows, 1.0f, TT_GRADIENT_WEIGHTS, d);
        same(dot(g, y, outputs), dot(x, dx, inputs), w, "input gradient");
        tt_conv2d_grad_input(w, g, &rows, true, dx);
        same(2.0 * dot(g, y, outputs), dot(x, dx, inputs), w, "input gradient, accumulated");
    }
    /* Without bias, and with a scattered list of channels besides. */
    same(dot(g, y, outputs), dot(base, d, w->O * stride), w, "weight gradient");
    tt_rows_t some = rows;
    some.trained = 0u;
    for (int32_t o = 0; o < w->O; o += 2) {
        channels[some.trained++] = (uint16_t)o;
    }
    float *part = array((int32_t)some.trained * stride);
    const uint32_t parts = TT_GRADIENT_WEIGHTS | TT_GRADIENT_BIAS | TT_GRADIENT_ACCUMULATE;
    (depthwise ? tt_depthwise_conv2d_grad_weights : tt_conv2d_grad_weights)(w, x, g, &some, 0.5f, parts, part);
    (depthwise ? tt_depthwise_conv2d_grad_weights : tt_conv2d_grad_weights)(w, NULL, g, &some, 1.0f, TT_GRADIENT_BIAS,
                                                                            part);
    free(part);
    free(channels);
    free(d);
    free(base);
    free(dx);
    free(g);
    free(y);
    free(x);
}

static void check_window(int32_t size, int32_t width, int32_t taps, int32_t stride, int32_t pad, int32_t channels) {
    tt_window_t w = {size, width, channels, 0, 0, 5, taps, taps, stride, stride, pad, pad};
    w.OH = (size + 2 * pad - taps) / stride + 1;
    w.OW = (width + 2 * pad - taps) / stride + 1;
    if (size + 2 * pad < taps || width + 2 * pad < taps || tt_window_check(&w) != TT_OK) {
        return;
    }
    check_convolution(&w, false);
    w.O = w.C;
    check_convolution(&w, true);
    if (tt_window_check_pool(&w) == TT_OK) {
        float *x = array(size * width * channels);
        float *g = array(w.OH * w.OW * channels);
        float *dx = array(size * width * channels);
        tt_avg_pool_grad(&w, g, dx);
        tt_max_pool_grad(&w, g, x, dx);
        free(dx);
        free(g);
        free(x);
    }
}

static void check_elements(uint32_t count) {
    float *a = array((int32_t)count);
    float *b = array((int32_t)count);
    float *y = array((int32_t)count);
    uint32_t *mask = malloc(tt_mask_words(count) * sizeof(uint32_t));
    tt_clip(a, count, -0.5f, 0.5f, y);
    tt_clip_grad(a, b, count, -0.5f, 0.5f, y);
    tt_clip_mask(b, count, -0.5f, 0.5f, mask);
    tt_mask_grad(a, mask, count, a);
    for (uint32_t i = 0; i < count; ++i) {
        if (b[i] <= -0.5f || b[i] >= 0.5f ? a[i] != 0.0f : a[i] != y[i]) {
            fprintf(stderr, "mask and clip differ at %u of %u\n", i, count);
            exit(1);
        }
    }
    tt_leaky_relu_grad(a, b, count, 0.1f, y);
    tt_hard_swish_grad(a, b, count, y);
    tt_sigmoid_grad(a, b, count, y);
    tt_tanh_grad(a, b, count, y);
    tt_softmax_grad(a, b, 1u, count, y);
    tt_softmax_grad(a, b, count, 1u, y);
    tt_multiply(a, b, count, a);
    tt_add_to(a, count, y);
    tt_affine(a, b, b, 1u, count, y);
    tt_multiply_channel(a, b, 1u, count, a);
    tt_channel_dot(a, b, count, 1u, y);
    tt_slice(a, 1u, count, count / 2u, count - count / 2u, y);
    free(mask);
    free(y);
    free(b);
    free(a);
}

int main(void) {
    static const int32_t TAPS[] = {1, 2, 3, 4, 5, 7};
    static const int32_t CHANNELS[] = {1, 2, 6};
    for (int32_t t = 0; t < 6; ++t) {
        for (int32_t stride = 1; stride <= 3; ++stride) {
            for (int32_t pad = 0; pad <= TAPS[t] + 1; ++pad) {
                for (int32_t width = 1; width <= 19; width += 1 + width / 5) {
                    for (int32_t c = 0; c < 3; ++c) {
                        check_window(1 + (width * 3 + t) % 7, width, TAPS[t], stride, pad, CHANNELS[c]);
                    }
                }
            }
        }
    }
    for (int32_t channels = 1; channels <= 20; channels += 3) {
        check_window(1, 1, 1, 1, 0, channels);
        check_window(1, 9, 1, 1, 0, channels);
    }
    for (uint32_t count = 1u; count <= 70u; count += 3u) {
        check_elements(count);
    }
    const tt_window_t padded = {3, 4, 2, 6, 7, 2, 1, 1, 1, 1, 2, 1};
    float *inner = array(24);
    float *outer = array(84);
    tt_pad2d(&padded, inner, outer);
    tt_crop2d(&padded, outer, inner);
    free(outer);
    free(inner);
    return 0;
}
