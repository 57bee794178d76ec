# SPDX-License-Identifier: Apache-2.0
"""The recipes of CONTRIBUTING.md, each followed from outside the package."""
