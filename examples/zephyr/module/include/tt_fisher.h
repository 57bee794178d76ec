/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_FISHER_H
#define TT_FISHER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Adds what one sample contributes to the Fisher potential of every channel of one layer:
 *
 *     potential[o] += (sum_d activation[d][o] * gradient[d][o])^2
 *
 * The potential of TinyTrain is this, summed over N samples and divided by 2N. The division is left to whoever reads
 * the potentials: it comes once, when N is known, and no choice between channels depends on it.
 *
 * activation: in, [positions][channels]: the output of the layer after its fused activation, channels last; positions
 *             is height * width, or 1 for a Dense layer.
 * gradient:   in, [positions][channels]: gradient of the sample's loss with respect to activation; may be activation.
 * potential:  in and out, [channels], caller-owned, 0 before the first sample; not overlapping the others.
 *
 * positions and channels of 0 add nothing. No pointer is NULL where it is read. Nothing is checked here: a value that
 * is not finite, or a sum beyond about 1e19, shows as a potential that is not finite. Each sum goes by rising position.
 */
void tt_fisher_add(const float *activation, const float *gradient, uint32_t positions, uint32_t channels,
                   float *potential);

#ifdef __cplusplus
}
#endif

#endif /* TT_FISHER_H */
