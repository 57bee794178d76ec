# SPDX-License-Identifier: Apache-2.0
"""Builds that choose on the board: what they measure, what they choose, and that they then train as fixed plans do."""
