# SPDX-License-Identifier: Apache-2.0
"""Counts the numbers in an HDF5 file of weights or of a whole model, in a process of its own: `hdf5_weights` runs this
file.

Prints JSON: {"elements": n, "whole": b, "attributes": {...}}, or {"refused": reason}. What the file does to the HDF5
library, which loops or crashes on some damaged ones, it does to this process.
"""

import io
import json
import math
import resource
import sys
from pathlib import Path
from typing import Any

_SECONDS = 10
_BYTES = 2**30
_TEXTS = ("model_config", "training_config", "keras_version")


def measure(content: bytes, most_objects: int, most_text: int) -> dict[str, Any]:
    """Reads every dataset as Keras will.

    Returns:
        The texts that tell of a whole model; whether it holds the weights of one; the elements of all datasets, of a
        whole model of those that Keras will read.

    Raises:
        ValueError: it is no plain file of weights.
        Exception: h5py raises what it likes for damaged files.
    """
    import h5py

    sizes: dict[int, int] = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        pending = [file["/"]]
        while pending:
            group = pending.pop()
            dict(group.attrs)
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"'{name[:100]}' is a link to elsewhere")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in sizes:
                    raise ValueError(f"'{name[:100]}' stands in it twice")
                sizes[address] = _elements(item) if isinstance(item, h5py.Dataset) else 0
                if len(sizes) > most_objects:
                    raise ValueError(f"it has more than {most_objects:,} parts")
                if not isinstance(item, h5py.Dataset):
                    pending.append(item)
        attributes = {name: _text(file.attrs[name], name, most_text) for name in _TEXTS if name in file.attrs}
        whole = "model_weights" in file
        named = _named(file["model_weights"]) if whole else []
        used = {address: sizes[address] for address in named}
    if len(used) != len(named):
        raise ValueError("it names the same weights twice")
    elements = sum((used if whole else sizes).values())
    return {"elements": elements, "whole": whole, "attributes": attributes}


def _named(group: Any) -> list[int]:
    """Addresses of the datasets that the weights of a whole model name, which is what Keras reads of them."""
    import h5py

    found = []
    for layer in [*_names(group, "layer_names"), *({"top_level_model_weights"} & set(group))]:
        for name in _names(group[layer], "weight_names"):
            found.append(h5py.h5o.get_info(group[layer][name].id).addr)
    return found


def _names(group: Any, name: str) -> list[str]:
    """A list of names as Keras keeps it: in one attribute, or where it is long in several that are numbered."""
    keys = [name] if name in group.attrs else sorted((key for key in group.attrs if key.startswith(name)), key=len)
    return [text.decode() if isinstance(text, bytes) else str(text) for key in keys for text in group.attrs[key]]


def _text(value: Any, name: str, most: int) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or len(text) > most:
        raise ValueError(f"'{name}' is no text of at most {most:,} bytes")
    return text


def _elements(dataset: Any) -> int:
    """Elements of a dataset whose numbers lie in the file, every one of them."""
    dict(dataset.attrs)
    name = str(dataset.name)[:100]
    if dataset.dtype.kind not in "biufV" or dataset.dtype.hasobject:
        raise ValueError(f"'{name}' holds {dataset.dtype}, not numbers")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"the numbers of '{name}' lie in another file")
    elements = int(math.prod(dataset.shape))
    stored = dataset.id.get_storage_size()
    if elements * dataset.dtype.itemsize > stored:
        raise ValueError(f"'{name}' declares {elements * dataset.dtype.itemsize:,} bytes and stores {stored:,}")
    dataset[()]
    return elements


def answer(content: bytes, most_objects: int, most_text: int) -> str:
    """What `measure` finds, or why it cannot, as JSON."""
    try:
        return json.dumps(measure(content, most_objects, most_text))
    except Exception as error:
        return json.dumps({"refused": (str(error).splitlines() or [type(error).__name__])[0][:200]})


def main() -> None:
    """Answers for the file named by the first argument, with at most as many parts as the second says, and texts of at
    most as many bytes as the third."""
    content = Path(sys.argv[1]).read_bytes()
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS + len(content) // 2**24,) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES + 3 * len(content),) * 2)
    print(answer(content, int(sys.argv[2]), int(sys.argv[3])))


if __name__ == "__main__":
    main()
