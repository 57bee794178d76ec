# SPDX-License-Identifier: Apache-2.0
"""Models from files and from other versions of Keras, as models of the Keras that is installed.

- ``load``: `.keras`, `.h5` and SavedModel files, read by ``tt_tflm.files`` and built by Keras in safe mode
- ``legacy_config``, ``legacy_operations``: a configuration as Keras 2 writes it, in the form of Keras 3
- ``tflite``: float models of TensorFlow Lite, rebuilt layer by layer
- ``memory``: models in memory that are of `tf_keras`, or compute in another precision
- ``float32``: configurations in half or double precision
- ``weights``: values for the weights of a model
"""

from tt_tflm.frontend.loaders.load import LoadedModel, load_keras, load_model, load_tflite
from tt_tflm.frontend.loaders.memory import adopt

__all__ = ["LoadedModel", "adopt", "load_keras", "load_model", "load_tflite"]
