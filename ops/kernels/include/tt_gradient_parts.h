/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_GRADIENT_PARTS_H
#define TT_GRADIENT_PARTS_H

/* What a weight gradient computes, and how it leaves it: a sum of these. */
#define TT_GRADIENT_WEIGHTS 1u    /* the gradient of the weights */
#define TT_GRADIENT_BIAS 2u       /* the gradient of the bias */
#define TT_GRADIENT_ACCUMULATE 4u /* add to what the result holds; without it the result is written */

#endif /* TT_GRADIENT_PARTS_H */
