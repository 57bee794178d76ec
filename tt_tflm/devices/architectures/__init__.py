# SPDX-License-Identifier: Apache-2.0
"""Cores, a module for each architecture. All of them are imported when the registry of cores is first read."""
