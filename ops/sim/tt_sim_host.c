/* SPDX-License-Identifier: Apache-2.0 */
/* Tells Python what the header of the model says: it loads the model as a shared library and cannot read macros. */
#include "tt_sim_host.h"

#include "tt_sim_description.h"

void tt_sim_describe(tt_sim_description_t *description) {
    const tt_sim_description_t of_model = TT_SIM_DESCRIPTION;
    *description = of_model;
}
