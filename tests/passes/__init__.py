# SPDX-License-Identifier: Apache-2.0
"""The passes: what each makes of small modules, and what the kernels compute once they are compiled."""
