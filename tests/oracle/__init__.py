# SPDX-License-Identifier: Apache-2.0
"""TensorFlow as the one oracle of gradients, losses and optimisers."""
