# SPDX-License-Identifier: Apache-2.0
"""Counts the numbers in an HDF5 file of weights, in a process of its own: `hdf5_weights` runs this file.

Prints JSON: {"elements": n}, or {"refused": reason}. What the file does to the HDF5 library, which loops or crashes on
some damaged ones, it does to this process.
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


def measure(content: bytes, most_objects: int) -> int:
    """Reads every dataset as Keras will.

    Returns:
        The elements of all datasets.

    Raises:
        ValueError: it is no plain file of weights.
        Exception: h5py raises what it likes for damaged files.
    """
    import h5py

    elements = 0
    seen = set()
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
                if address in seen:
                    raise ValueError(f"'{name[:100]}' stands in it twice")
                seen.add(address)
                if len(seen) > most_objects:
                    raise ValueError(f"it has more than {most_objects:,} parts")
                if isinstance(item, h5py.Dataset):
                    elements += _elements(item)
                else:
                    pending.append(item)
    return elements


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


def answer(content: bytes, most_objects: int) -> str:
    """What `measure` finds, or why it cannot, as JSON."""
    try:
        return json.dumps({"elements": measure(content, most_objects)})
    except Exception as error:
        return json.dumps({"refused": (str(error).splitlines() or [type(error).__name__])[0][:200]})


def main() -> None:
    """Answers for the file named by the first argument, with at most as many parts as the second says."""
    content = Path(sys.argv[1]).read_bytes()
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS + len(content) // 2**24,) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES + 3 * len(content),) * 2)
    print(answer(content, int(sys.argv[2])))


if __name__ == "__main__":
    main()
