/* SPDX-License-Identifier: Apache-2.0 */
/* What the conversion knew of small, as initialisers. */
#ifndef TT_ZEPHYR_BUILD_H
#define TT_ZEPHYR_BUILD_H

#define TT_ZEPHYR_MODEL "small"

/* From a pixel of 0..255 to the model's input, and the range that gives. */
#define TT_ZEPHYR_SCALE 7.84313725e-03f
#define TT_ZEPHYR_SHIFT -1.00000000e+00f
#define TT_ZEPHYR_LOW -1.00000000e+00f
#define TT_ZEPHYR_HIGH 1.00000000e+00f

/* The budget that the board chooses under: a tt_budget_t. */
#define TT_ZEPHYR_BUDGET                                                                                               \
	{                                                                                                              \
		24576u, 49152u, TT_BUDGET_NONE                 \
	}

#endif /* TT_ZEPHYR_BUILD_H */
