"""Is a file of weights what its listing says? Size, sha256, names and shapes, read from the bytes alone: imports no torch, runs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whatwhere.errors import BadInput
from whatwhere.files import sha256
from whatwhere.look import Missing, look

MODEL, CONFIG = "model.safetensors", "config.json"


def check_file(path: Path, listed: dict[str, Any], source: Path) -> None:
    """Raises BadInput unless the file has the size and the sha256 that `source` lists."""
    try:
        size = look(path, "file of weights")
    except Missing:
        raise BadInput(f"{path}: missing; {source} lists it") from None
    if path.suffix == ".safetensors":
        read_header(path)
    if size != listed.get("bytes", size):
        raise BadInput(f"{path}: {size} bytes, needs {listed['bytes']} ({source}): truncated or replaced; fetch it again")
    digest = sha256(path)
    if digest != listed.get("sha256"):
        raise BadInput(f"{path}: sha256 {digest[:16]}…, needs {str(listed.get('sha256'))[:16]}… ({source}): damaged or replaced; fetch it again")


def check_tensors(path: Path, listed: dict[str, Any], tensors: dict[str, Any]) -> None:
    """`check_file`, then that the tensors in the file are the listed ones, name by name. Raises BadInput."""
    check_file(path, listed, path.with_name(CONFIG))
    compare_shapes(path, read_header(path), {name: list(shape) for name, shape in tensors.items()})


def compare_shapes(path: Path, found: dict[str, list[int]], valid: dict[str, list[int]]) -> None:
    """Raises BadInput at the first tensor that is missing, unknown or of another shape."""
    for name in sorted({*found, *valid}):
        if found.get(name) != valid.get(name):
            raise BadInput(f"{path}: tensor {name}: found {found.get(name, 'none')}, needs {valid.get(name, 'none')}")


def read_header(path: Path) -> dict[str, list[int]]:
    """Shapes of the tensors in a safetensors file, read from its header alone. Raises BadInput for anything else, a pickle above all."""
    size = look(path, "file of weights")
    with path.open("rb") as file:
        start = file.read(8)
        if start[:2] == b"PK" or start[:1] == b"\x80":
            raise BadInput(f"{path}: a pickle, not safetensors; pickles are never read")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(size - 8, 100_000_000):
            raise BadInput(f"{path}: not a safetensors file, or truncated ({size} bytes)")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        shapes = {name: [int(n) for n in entry["shape"]] for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise BadInput(f"{path}: not a safetensors file: its header is damaged") from None
    if end != size:
        raise BadInput(f"{path}: {size} bytes, its header needs {end}: truncated or damaged; fetch it again")
    return shapes
