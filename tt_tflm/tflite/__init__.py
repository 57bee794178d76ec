# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite's flatbuffers, and a forward pass as one of them."""
