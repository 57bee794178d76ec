/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_HOST_H
#define TT_SIM_HOST_H

#include "tt_sim_protocol.h"

/* description: out, not NULL. */
void tt_sim_describe(tt_sim_description_t *description);

#endif /* TT_SIM_HOST_H */
