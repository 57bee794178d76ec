# SPDX-License-Identifier: Apache-2.0
"""How packages of others add to the lists of this one."""
