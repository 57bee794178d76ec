# SPDX-License-Identifier: Apache-2.0
"""Exports: what is in them, and that it compiles and runs where the build systems of firmware would take it."""
