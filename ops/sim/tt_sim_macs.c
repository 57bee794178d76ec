/* SPDX-License-Identifier: Apache-2.0 */
/* The counter of instrumented builds; see TT_MAC in tt_kernel.h. */
#include <stdint.h>

#ifdef TT_COUNT_MACS
uint64_t tt_mac_count;
#else
typedef int tt_sim_macs_empty_t;
#endif
