# SPDX-License-Identifier: Apache-2.0
"""From a Keras model to the artefact: the converter, planning on this machine, what is saved and loaded."""
