# SPDX-License-Identifier: Apache-2.0
"""Emitters: from a training program to the files of a build."""
