# SPDX-License-Identifier: Apache-2.0
"""int8 builds against TensorFlow Lite's reference kernels, and their gradients against tf.GradientTape."""
