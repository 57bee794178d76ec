/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_RATE_H
#define TT_RATE_H

#include "tt_call.h"

namespace tinytrain {

/* The learning rate in force: the input at that place, or fallback where the input is 0; -0 is a rate of 0. */
TfLiteStatus ReadRate(const Call &call, const char *name, int index, float fallback, float *rate);

} // namespace tinytrain

#endif /* TT_RATE_H */
