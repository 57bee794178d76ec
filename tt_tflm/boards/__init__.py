# SPDX-License-Identifier: Apache-2.0
"""What runs a build: simulated boards and boards at a serial line; episodes and how a board adapts to one."""
