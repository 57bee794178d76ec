# SPDX-License-Identifier: Apache-2.0
"""Files and folders: the one boundary where what a user gives is opened, and how files are written.

Whatever comes from outside passes through this room before anything else looks at it. Each file here knows one format
and keeps three rules: sizes are checked before anything of that size is allocated, values are checked against a schema
that stands beside the format, and whatever is wrong ends in one ``InputError`` of one line, in bounded time and memory
(``limits``).

- ``regular_file``: opens regular files alone, never pipes, devices or folders
- ``nesting``, ``schema``, ``json_input``, ``toml_input``: values in text
- ``zip_members``, ``npz_arrays``: archives and what lies in them
- ``model_file``: models of every format, told by their content: ``keras_archive``, ``hdf5_weights``, ``saved_model``
  with ``tensor_bundle`` and ``protobuf_wire``, ``tflite_model``; ``keras_config`` is what the first three hold
- ``image_file``: pictures
- ``output``: files that appear whole or not at all, pipes and stdout; ``new_folder``: the same for folders
- ``ops_path``: where the package's own C sources lie
"""
