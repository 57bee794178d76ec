# SPDX-License-Identifier: Apache-2.0
"""Where a program's rows and session lie in memory."""
