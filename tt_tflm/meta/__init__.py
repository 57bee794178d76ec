# SPDX-License-Identifier: Apache-2.0
"""The offline half of TinyTrain: models that are ready to adapt, and the measurement that tells what adapting brings."""
