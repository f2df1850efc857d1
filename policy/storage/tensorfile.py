"""Is a file of weights what its listing says? Size, sha256, names and shapes, read from the bytes alone: imports no torch, runs nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whatwhere.errors import BadInput, shown
from whatwhere.files import sha256
from whatwhere.look import Missing, look
from whatwhere.strict_json import parse

if TYPE_CHECKING:
    from policy.storage.records import Listed, Tensor

MODEL, CONFIG = "model.safetensors", "config.json"
MAX_HEADER = 8 << 20  # bytes; ours have 20,000


def check_file(path: Path, listed: Listed, source: Path) -> None:
    """Raises BadInput unless the file has the size and the sha256 that `source` lists."""
    try:
        size = look(path, "file of weights")
    except Missing:
        raise BadInput(f"{path}: missing; {source} lists it") from None
    if path.suffix == ".safetensors":
        read_header(path)
    if size != (needed := listed.get("bytes", size)):
        raise BadInput(f"{path}: {size} bytes, needs {needed} ({source}): truncated or replaced; fetch it again")
    digest = sha256(path)
    if digest != listed["sha256"]:
        raise BadInput(f"{path}: sha256 {digest[:16]}…, needs {listed['sha256'][:16]}… ({source}): damaged or replaced; fetch it again")


def check_tensors(path: Path, listed: Listed, tensors: Mapping[str, list[int]]) -> None:
    """`check_file`, then that the tensors in the file are the listed ones, name by name. Raises BadInput."""
    check_file(path, listed, path.with_name(CONFIG))
    compare_shapes(path, read_header(path), tensors)


def compare_shapes(path: Path, found: Mapping[str, list[int]], valid: Mapping[str, list[int]]) -> None:
    """Raises BadInput at the first tensor that is missing, unknown or of another shape."""
    for name in sorted({*found, *valid}):
        if found.get(name) != valid.get(name):
            raise BadInput(f"{path}: tensor {name:.120}: found {found.get(name, 'none')}, needs {valid.get(name, 'none')}")


def read_header(path: Path) -> dict[str, list[int]]:
    """Shapes of the tensors in a safetensors file, read from its header alone. Raises BadInput for anything else, a pickle above all."""
    from policy.storage.records import Tensor
    from whatwhere.schema import checked

    size = look(path, "file of weights")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(size - 8, MAX_HEADER):
            if start[:2] == b"PK" or start[:1] == b"\x80":  # with which a sound header's length may begin as well
                raise BadInput(f"{path}: a pickle, not safetensors; pickles are never read")
            raise BadInput(f"{path}: not a safetensors file, or truncated ({size} bytes)")
        text = file.read(length)
    where = f"{path}: header"
    header = checked(parse(text, where), dict[str, Any], where)
    checked(header.pop("__metadata__", {}), dict[str, str], f"{where}: __metadata__")
    end = _end(checked(header, dict[str, Tensor], where), where)
    if 8 + length + end != size:
        raise BadInput(f"{path}: {size} bytes, its header needs {8 + length + end}: truncated or damaged; fetch it again")
    return {name: tensor["shape"] for name, tensor in header.items()}


def _end(tensors: dict[str, Tensor], where: str) -> int:
    """Where the last tensor ends, after the header. Raises BadInput unless they lie one behind the other, each as long as its shape says."""
    from policy.storage.records import BYTES

    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = tensor["data_offsets"]
        needed = math.prod(tensor["shape"]) * BYTES[tensor["dtype"]]
        if start != end or stop - start != needed:
            raise BadInput(f"{where}: tensor {shown(name)}: lies at {start} to {stop}; needs {needed} bytes from {end}")
        end = stop
    return end
