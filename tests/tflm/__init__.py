# SPDX-License-Identifier: Apache-2.0
"""The custom ops of TensorFlow Lite Micro, in its interpreter and under sanitisers."""
