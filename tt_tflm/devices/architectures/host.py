# SPDX-License-Identifier: Apache-2.0
"""This machine."""

from tt_tflm.devices.cores import KERNEL_FLAGS, Architecture, Core, Toolchain, add_cores

HOST = Architecture(
    "host",
    isa=frozenset(),
    toolchain=Toolchain(("cc", "gcc", "clang"), "size", "ar", "gcc"),
    cpu_flags=lambda _core, _features: (),
    kernel_flags=(*KERNEL_FLAGS, "-march=native"),
    is_host=True,
)

add_cores(Core("host", "this machine", HOST, {"fpu": ("double",), "dsp": (False,), "mve": (False,)}))
