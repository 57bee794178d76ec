# SPDX-License-Identifier: Apache-2.0
"""The errors this package raises on purpose. Their text is one line: what was expected, what was received, what to
do."""


class TinyTrainError(Exception):
    """Base of every error raised on purpose."""


class InputError(TinyTrainError, ValueError):
    """What the user gave cannot be used: a model, plan, episode, option or array. The command line exits with 2."""


class UnsupportedLayerError(InputError):
    """The model holds a layer, or an option of a layer, that has no place in a trainable build."""


class DeviceError(TinyTrainError, RuntimeError):
    """The device code refused a call, or an emulated board stopped answering."""


class ToolchainError(TinyTrainError, RuntimeError):
    """A compiler or emulator is missing or failed."""


class OverflowingMemoryError(ToolchainError):
    """A program is too large for the memory of an emulated board."""
