"""What the arrays of a valid demonstration are, their types and shapes, and the digests that seal it. (Its settings: envs.demos.records.)"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import BadInput

MAX_STEPS, MAX_BYTES, MAX_CAMERAS = 100_000, 4 << 30, 16
MAX_SCALED = 1 << 30  # bytes of the pictures of a demonstration, scaled up or drawn because somebody asked for a size
SMALL, LIKELY_DEFLATION = 256 << 20, 100  # beyond these bytes a file must be worth its claims: a few kilobytes must not fill the memory
KINDS = {"actions": ("f4", 2), "executed_actions": ("f4", 2), "states": ("f8", 2), "rewards": ("f4", 1), "dones": ("u1", 1), "obs/proprio": ("f4", 2)}


def image_name(camera: str) -> str:
    return f"obs/{camera}_image"


def check_array(path: Path, name: str, shape: tuple[int, ...], dtype: Any, steps: int) -> None:
    """Type and shape, before a value is read."""
    kind, ndim = KINDS.get(name, ("u1", 4))
    where = f"{path}: {name}"
    if dtype != np.dtype(kind):
        raise BadInput(f"{where}: needs type {np.dtype(kind)}, found {dtype}")
    if len(shape) != ndim or 0 in shape or (ndim == 4 and shape[3] != 3):
        raise BadInput(f"{where}: needs {'(t, h, w, 3)' if ndim == 4 else f'{ndim} axes'} and no empty one, found shape {shape}")
    if shape[0] != steps or steps > MAX_STEPS:
        raise BadInput(f"{where}: needs {steps} steps (at most {MAX_STEPS}), found {shape[0]}")
    if (ndim == 2 and shape[1] > 4096) or (ndim == 4 and max(shape[1:3]) > 4096) or num_bytes(shape, kind) > MAX_BYTES:
        raise BadInput(f"{where}: shape {shape} is larger than any demonstration")


def num_bytes(shape: tuple[int, ...], kind: Any) -> int:
    size = np.dtype(kind).itemsize
    for extent in shape:  # plain integers: numpy's product wraps around
        size *= int(extent)
    return size


def check_claim(where: str, claimed: int, stored: int, deflation: int = LIKELY_DEFLATION) -> None:
    """Raises BadInput, before memory is taken, for data that unpack to more bytes than those `stored` can be worth."""
    if claimed > MAX_BYTES or claimed > max(SMALL, deflation * stored):
        raise BadInput(f"{where}: unpacks to {claimed} bytes from {stored}; at most {MAX_BYTES}, and {deflation} times what is stored, are read")


def check_scaled(where: str, steps: int, cameras: int, size: int | None, before: int = 0) -> None:
    """Raises BadInput where pictures of `size` pixels would be more than anybody wants; `before`: bytes that they have as they are."""
    if size is not None and (claimed := 3 * steps * cameras * size * size) > max(MAX_SCALED, before):
        raise BadInput(f"{where}: size={size}: makes {claimed} bytes of pictures of {steps} steps; at most {MAX_SCALED} are made of one demonstration")


def check_values(path: Path, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput(f"{path}: {name}: NaN or infinite at step {int(np.argwhere(~np.isfinite(array))[0][0])}")
    if name.endswith("actions") and np.abs(array).max() > 1:
        raise BadInput(f"{path}: {name}: needs values in [-1, 1], found {array.flat[np.abs(array).argmax()]:g}")


def digest_of(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(array.data.cast("B"))
    return digest.hexdigest()


def seal_of(texts: dict[str, str], digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([texts, digests], sort_keys=True).encode()).hexdigest()
