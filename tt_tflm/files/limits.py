# SPDX-License-Identifier: Apache-2.0
"""How large a file of each kind may be, and what is in it: every limit in one place.

They are far above what microcontrollers can use, and low enough that no file takes more than about a gigabyte of
memory.
"""

MEBIBYTE = 2**20

JSON_BYTES = 16 * MEBIBYTE
"""Of a JSON file. Parsed, JSON takes up to some 25 times its size."""

JSON_DEPTH = 128
"""Levels of objects and lists: a model inside another one takes five."""

TOML_BYTES = MEBIBYTE // 64
"""Of a device profile."""

TOML_LINE = 500
"""Characters of a line of it: the parser takes time by the square of the number of dots in a key."""

STATE_BYTES = 16 * MEBIBYTE
"""Of a saved state, or of a dump of the storage it lies in."""

SOURCE_BYTES = 1024 * MEBIBYTE
"""Of one source in a build: they hold the weights as text."""

IMAGE_BYTES = 64 * MEBIBYTE
"""Of an image file."""

IMAGE_PIXELS = 2**25
"""Of an image: 8192 x 4096. Decoding takes up to 16 bytes for each."""

TENSOR_ELEMENTS = 2**24
"""Of what a model takes, gives or computes in between: 64 MiB in float32."""

DIRECTORY_BYTES = MEBIBYTE
"""Of the directory of a zip archive, which is parsed as a whole: some twenty thousand entries."""

ARCHIVE_BYTES = 64 * MEBIBYTE
"""What a .keras archive may unpack to, however small it is."""

ARRAYS_BYTES = 256 * MEBIBYTE
"""What an .npz archive may unpack to, however small it is."""

EXPANSION = 4
"""What any archive may unpack to beyond that, by its own size: large data has to lie on the disk as such."""

HDF5_OBJECTS = 100_000
"""Groups and datasets of a file of weights."""

HDF5_BYTES = 512 * MEBIBYTE
"""Of a whole model in HDF5."""

SAVED_MODEL_BYTES = 64 * MEBIBYTE
"""Of saved_model.pb and of keras_metadata.pb, which hold graphs and no weights."""

OBJECT_GRAPH_BYTES = 16 * MEBIBYTE
"""Of the graph of objects in a checkpoint."""

CHECKPOINT_INDEX_BYTES = 16 * MEBIBYTE
"""Of the index of a checkpoint: the names of its tensors, and where they lie."""

TENSOR_AXES = 32
"""Of a tensor in a checkpoint."""

SHARDS = 1000
"""Data files of a checkpoint."""

TFLITE_BYTES = 512 * MEBIBYTE
"""Of a TensorFlow Lite model."""
