# SPDX-License-Identifier: Apache-2.0
"""Models that people put on microcontrollers or start from, and what becomes of each."""
