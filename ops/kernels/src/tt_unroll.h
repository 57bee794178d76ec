/* SPDX-License-Identifier: Apache-2.0 */
/* Loops over a tile, which has to lie in registers: they must be gone before registers are given out. Internal. */
#ifndef TT_UNROLL_H
#define TT_UNROLL_H

#if defined(__GNUC__)
#define TT_UNROLL _Pragma("GCC unroll 16")
#else
#define TT_UNROLL
#endif

#endif /* TT_UNROLL_H */
