"""What a valid demonstration is: its settings, the types and shapes of its arrays, and the digests that seal it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import BadInput

MAX_STEPS, MAX_BYTES, MAX_CAMERAS = 100_000, 4 << 30, 16
NONE = type(None)
FIELDS: dict[str, tuple[type, ...]] = {  # what `attrs` must hold; more is kept as it is (anything that JSON can say)
    "task": (str,),
    "task_version": (str,),
    "init_hash": (str, NONE),
    "seed": (int, NONE),
    "episode": (int, NONE),
    "rendering": (str,),
    "size": (int,),
    "cameras": (list, tuple),
    "frame_gap": (int,),
    "control_hz": (int, float),
    "horizon": (int, NONE),
    "versions": (dict,),
}
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


def check_values(path: Path, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput(f"{path}: {name}: NaN or infinite at step {int(np.argwhere(~np.isfinite(array))[0][0])}")
    if name.endswith("actions") and np.abs(array).max() > 1:
        raise BadInput(f"{path}: {name}: needs values in [-1, 1], found {array.flat[np.abs(array).argmax()]:g}")


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    for key, kinds in FIELDS.items():
        if key not in settings:
            raise BadInput(f"{path}: {key}: missing among the settings; needed: {', '.join(FIELDS)}")
        value = settings[key]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise BadInput(f"{path}: {key}: needs {' or '.join('null' if kind is NONE else kind.__name__ for kind in kinds)}, found {value!r:.60}")
    cameras = settings["cameras"]
    if (
        not cameras
        or len(cameras) > MAX_CAMERAS
        or not all(isinstance(name, str) and re.fullmatch(r"\w+", name) for name in cameras)
        or len(set(cameras)) != len(cameras)
    ):
        raise BadInput(f"{path}: cameras: needs different names of letters, digits and _, at most {MAX_CAMERAS}, found {cameras!r:.60}")


def digest_of(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(array.data.cast("B"))
    return digest.hexdigest()


def seal_of(texts: dict[str, str], digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([texts, digests], sort_keys=True).encode()).hexdigest()
