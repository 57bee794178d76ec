/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_adapt.h"

tt_augment_t tt_default_augment(const tt_model_t *model, bool flip) {
    const float first = model->input_shift;
    const float last = 255.0f * model->input_scale + model->input_shift;
    tt_augment_t augment = TT_AUGMENT_DEFAULTS;
    augment.flip = flip;
    augment.low = first < last ? first : last;
    augment.high = first < last ? last : first;
    return augment;
}
