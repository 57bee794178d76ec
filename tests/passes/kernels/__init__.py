# SPDX-License-Identifier: Apache-2.0
"""Every kernel, compiled, against TensorFlow and NumPy."""
