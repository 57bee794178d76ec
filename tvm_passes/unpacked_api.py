# SPDX-License-Identifier: Apache-2.0
"""Turn buffer parameters into bare pointers: what microTVM's unpacked API was.

Before::

    def kernel(x: T.Buffer((64,), "float32"), y: T.Buffer((64,), "float32")): ...

After::

    def kernel(x_p: T.handle("float32"), y_p: T.handle("float32")):
        x = T.decl_buffer((64,), data=x_p)
        y = T.decl_buffer((64,), data=y_p)
        ...
"""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType


@tirx.transform.prim_func_pass(opt_level=0, name="UnpackedAPI")
def unpacked_api(func: tirx.PrimFunc, _module: tvm.IRModule, _context: tvm.transform.PassContext) -> tirx.PrimFunc:
    """The pass itself; scalars stay scalars."""
    params, declarations = [], []
    for var in func.params:
        if not tirx.is_buffer_var(var):
            params.append(var)
            continue
        pointer = tirx.Var(str(var.name) + "_p", PointerType(PrimType(str(var.ty.dtype))))
        declarations.append(tirx.DeclBuffer(var, data=pointer))
        params.append(pointer)
    body = tirx.SeqStmt([*declarations, func.body]) if declarations else func.body
    return tirx.PrimFunc(params, body, PrimType("void"), func.attrs)
