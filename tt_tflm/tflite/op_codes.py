# SPDX-License-Identifier: Apache-2.0
"""Writes the codes of the custom ops, as the operations are registered with them, into their C header.

The header is kept in the repository, so that ops/ compiles without Python; a test compares the two. After registering
an operation with a code of its own::

    python -m tt_tflm.tflite.op_codes
"""

from __future__ import annotations

from tt_tflm.files.ops_path import ops_path
from tt_tflm.tflite.op_params import Op

HEADER = "tflm/tt_op_codes.h"


def header() -> str:
    """The text of ops/tflm/tt_op_codes.h."""
    codes = ",\n".join(f"    TT_OP_{op.name} = {op.value}" for op in Op)
    return f"""\
/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m tt_tflm.tflite.op_codes` from tvm_passes/ops; do not edit. */
#ifndef TT_OP_CODES_H
#define TT_OP_CODES_H

/* Values never change; new ones are appended. */
typedef enum {{
{codes}
}} tt_op_code_t;

/* How many ops RegisterTinyTrainOps adds. */
#define TT_OPS {len(Op)}

#endif /* TT_OP_CODES_H */
"""


if __name__ == "__main__":
    (ops_path() / HEADER).write_text(header(), encoding="utf-8")
