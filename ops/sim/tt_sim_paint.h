/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_PAINT_H
#define TT_SIM_PAINT_H

#include <stdint.h>

/* Deeper than this is not seen: what is reported is at most this. */
#define TT_SIM_STACK_WATCHED 32768u

/* Paints the stack below the caller. */
void tt_sim_paint_stack(void);

/* How much of it has been painted over since, in bytes; to be called where tt_sim_paint_stack was. */
uint32_t tt_sim_painted_over(void);

#endif /* TT_SIM_PAINT_H */
