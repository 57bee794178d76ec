# SPDX-License-Identifier: Apache-2.0
"""What a user does, from model file to trained board."""
