# SPDX-License-Identifier: Apache-2.0
"""Files and folders: how they are written, where those of the package lie."""
