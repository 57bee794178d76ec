/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_register_ops.h"

namespace tinytrain {

const OpEntry &RegisteredOp(int index) {
    const OpFamily families[] = {StateOps(),      ConvolutionOps(), GradWeightsOps(), ActivationOps(), ElementwiseOps(),
                                 ExpressionOps(), WindowOps(),      LossOps(),        OptimizerOps()};
    int family = 0;
    while (index >= families[family].count) {
        index -= families[family].count;
        ++family;
    }
    return families[family].entries[index];
}

} // namespace tinytrain
