# SPDX-License-Identifier: Apache-2.0
"""The emitter of TensorFlow Lite Micro models."""
