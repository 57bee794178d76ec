# SPDX-License-Identifier: Apache-2.0
"""Training programs: static and dynamic ones, and their quantisation."""
