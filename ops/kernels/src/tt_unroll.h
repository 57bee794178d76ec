/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a compiler from undoing a layout in registers. Internal to ops/kernels.
 *
 * TT_UNROLL: the loop over a tile that follows must be gone before registers are given out.
 * TT_STEP(pointer, floats): pointer += floats, as one addition in place. Seeing through it, GCC would hold the pointers
 *     of later steps too, and run out of registers.
 */
#ifndef TT_UNROLL_H
#define TT_UNROLL_H

#if defined(__GNUC__)
#define TT_UNROLL _Pragma("GCC unroll 16")
#define TT_STEP(pointer, floats)                                                                                       \
    do {                                                                                                               \
        (pointer) += (floats);                                                                                         \
        __asm__("" : "+r"(pointer));                                                                                   \
    } while (0)
#else
#define TT_UNROLL
#define TT_STEP(pointer, floats) ((pointer) += (floats))
#endif

#endif /* TT_UNROLL_H */
