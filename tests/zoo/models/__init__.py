# SPDX-License-Identifier: Apache-2.0
"""One file for each family; layers and wiring as in the original, sizes cut so that a model converts in seconds."""
