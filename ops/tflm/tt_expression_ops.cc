/* SPDX-License-Identifier: Apache-2.0 */
/* The op that evaluates scalar expressions, for elementwise operations that have no op of their own. */
#include "tt_expression.h"

#include "tt_call.h"
#include "tt_op_table.h"

namespace tinytrain {
namespace {

constexpr const char *kExpression = "TT_EXPRESSION";

TfLiteStatus PrepareExpression(TfLiteContext *context, TfLiteNode *node) {
    Preparation p(context, node, kExpression);
    const auto params = p.Read<tt_op_expression_t>(TT_OP_EXPRESSION, TT_OP_FLAG_IN_PLACE | TT_OP_FLAG_ACTIVE);
    const tt_expression_t &expression = params.expression;
    p.Expect(p.ok() && tt_expression_check(&expression) == TT_OK, "an expression that leaves one value",
             expression.steps);
    TF_LITE_ENSURE_STATUS(p.status());
    const bool active = (params.header.flags & TT_OP_FLAG_ACTIVE) != 0u;
    p.Counts(expression.operands + (active ? 1 : 0), (params.header.flags & TT_OP_FLAG_IN_PLACE) != 0u ? 0 : 1);
    const int32_t n = p.Floats(Input(0), "the first operand");
    for (int i = 1; i < expression.operands; ++i) {
        p.Floats(Input(i), "an operand", n);
    }
    if (active) {
        p.Active(expression.operands);
    }
    p.Result(params.header, "the result", n);
    return p.status();
}

TfLiteStatus InvokeExpression(TfLiteContext *context, TfLiteNode *node) {
    const Call call(context, node);
    const auto params = call.Read<tt_op_expression_t>();
    const tt_expression_t &expression = params.expression;
    if ((params.header.flags & TT_OP_FLAG_ACTIVE) != 0u && !call.Runs(params.header, expression.operands)) {
        return kTfLiteOk;
    }
    const float *operands[TT_EXPRESSION_OPERANDS] = {};
    for (int i = 0; i < expression.operands; ++i) {
        operands[i] = call.In(i);
    }
    tt_expression(&expression, operands, call.Count(Input(0)), call.Result(params.header));
    return kTfLiteOk;
}

constexpr OpEntry kOps[] = {
    Entry(kExpression, PrepareExpression, InvokeExpression),
};

} // namespace

OpFamily ExpressionOps() {
    return Family(kOps);
}

} // namespace tinytrain
