"""Reads the labelled pairs of pictures that `python -m envs.demos.scenes` draws."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec import Meta

from policy.probing.pairs import Pairs
from policy.storage.mapped import mapped
from whatwhere.errors import BadInput, choose, is_of_this_machine
from whatwhere.files import read_json
from whatwhere.look import look
from whatwhere.schema import Count, Index, Name, Text

MOST_LABELS = 1 << 30  # bytes
FAULTS = (OSError, ValueError, KeyError, EOFError, MemoryError, OverflowError, NotImplementedError, zipfile.BadZipFile, zlib.error)  # of a damaged .npz


class ScenesIndex(TypedDict):
    """`index.json` of `python -m envs.demos.scenes`; what is read of it."""

    kind: Literal["scenes"]
    scenes: Count
    cameras: Annotated[list[Name], Meta(min_length=1, max_length=16)]
    version: NotRequired[Index]  # 1: named things lie there, of these colours and shapes
    colours: NotRequired[Annotated[list[Name], Meta(min_length=1, max_length=100)]]
    shapes: NotRequired[Annotated[list[Name], Meta(min_length=1, max_length=100)]]
    phrases: NotRequired[Annotated[list[Text], Meta(min_length=1, max_length=1000)]]  # there: what of each thing can be seen is told (policy.probing.named)
    moving: NotRequired[bool]  # then the labels are for velocities (policy.probing.velocity)
    seconds: NotRequired[Annotated[float, Meta(gt=0, le=60)]]  # between the two frames, where something moves


@dataclass(frozen=True, kw_only=True)
class Scenes(Pairs):
    """Pairs of pictures of one task, with where the target is in the first.

    `moved`: whether the target moves between the two. `present`: which of the colours, then of the shapes, lie there, in scenes of
    named things.
    """

    xy_cm: Float[np.ndarray, "n 2"]
    moved: Bool[np.ndarray, " n"]
    present: Bool[np.ndarray, "n y"] | None = None


def read_scenes(folder: str | Path, fit: int | None = None, held_out: int | None = None, camera: str | None = None) -> Scenes:
    """The first `fit` and `held_out` scenes of a task's folder (None: all) from `camera` (None: the task's first).

    Another camera than the first does not always see the target: only scenes in which it does are taken. Raises BadInput.
    """
    index, frames, (target, visible) = stored(Path(folder), ("target_pos_world", "visible_pixels"))
    number = camera_of(index["cameras"], camera)
    n = len(frames)
    if target.shape != (n, 2, 3) or visible.shape != (n, len(index["cameras"])) or not np.isfinite(target).all():
        raise BadInput(f"{Path(folder) / 'labels.npz'}: found {target.shape} and {visible.shape}; needs finite places (scenes, 2, 3), pixels (scenes, cameras)")
    visible = visible[:, number]
    rows = np.flatnonzero(visible > 0)
    first, rest = rows[rows < index["scenes"]], rows[rows >= index["scenes"]]
    for name, wanted, there in (("train", fit, len(first)), ("held_out", held_out, len(rest))):
        if wanted is not None and wanted > there:
            raise BadInput(f"{name}={wanted}: {folder} has {there} such scenes; draw more with python -m envs.demos.scenes")
    moved = np.abs(target[:, 1] - target[:, 0]).max(axis=1) > 1e-3
    chosen = np.concatenate([first[:fit], rest[:held_out]])
    words = json.dumps([index, number, len(first[:fit]), len(chosen)], sort_keys=True)
    digest = hashlib.sha256(words.encode()).hexdigest()
    return Scenes(
        frames=frames[chosen, number],
        xy_cm=100 * target[chosen, 0, :2].astype(np.float64),
        moved=moved[chosen],
        num_fit=len(first[:fit]),
        digest=digest,
        present=present(folder, chosen),
    )


def present(folder: str | Path, chosen: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "n y"] | None:
    """Of the `chosen` scenes of a folder; None where things have no names. Raises BadInput."""
    index = index_of(Path(folder))
    if not index.get("version") or "colours" not in index or "shapes" not in index:
        return None
    _, frames, found = stored(Path(folder), ("colours", "shapes"))
    parts = []
    for name, numbers, words in zip(("colours", "shapes"), found, (index["colours"], index["shapes"]), strict=True):
        if numbers.ndim != 2 or len(numbers) != len(frames) or numbers.dtype.kind != "i" or (numbers < 0).any() or (numbers >= len(words)).any():
            raise BadInput(
                f"{Path(folder) / 'labels.npz'}: {name}: found {numbers.dtype} {numbers.shape}; needs (scenes, things), each a number below {len(words)}"
            )
        parts.append((numbers[chosen][:, :, None] == np.arange(len(words))).any(axis=1))
    return np.concatenate(parts, axis=1)


def stored(folder: Path, names: Sequence[str]) -> tuple[ScenesIndex, np.ndarray, list[np.ndarray]]:
    """What lies in a task's folder: its index, pictures (scenes, cameras, 2, h, w, 3), and labels by name. Raises BadInput."""
    index = index_of(folder)
    try:
        frames = mapped(folder / "frames.npy", "draw scenes with python -m envs.demos.scenes")
        look(folder / "labels.npz", "array")
        with zipfile.ZipFile(folder / "labels.npz") as packed:
            if (size := sum(part.file_size for part in packed.infolist())) > MOST_LABELS:
                raise BadInput(f"{folder / 'labels.npz'}: unpacks to {size} bytes; more than {MOST_LABELS} are not read")
        with np.load(folder / "labels.npz", allow_pickle=False) as labels:
            found = [labels[name] for name in names]
    except FAULTS as error:
        if is_of_this_machine(error):
            raise
        raise BadInput(f"scenes={folder}: labels.npz is missing or not whole ({' '.join(str(error).split())[:120]})") from None
    if frames.dtype != np.uint8 or frames.ndim != 6 or frames.shape[1:3] != (len(index["cameras"]), 2) or frames.shape[5] != 3:
        raise BadInput(f"{folder / 'frames.npy'}: found {frames.dtype} {frames.shape}; needs uint8 (scenes, {len(index['cameras'])} cameras, 2, h, w, 3)")
    return index, frames, found


def index_of(folder: Path) -> ScenesIndex:
    """Raises BadInput where there is none."""
    if not (folder / "index.json").is_file():
        raise BadInput(f"scenes={folder}: no index.json; draw scenes with python -m envs.demos.scenes out={folder.parent} tasks={folder.name}")
    return read_json(folder / "index.json", ScenesIndex)


def camera_of(cameras: list[str], camera: str | None) -> int:
    """The number of a camera (None: the first). Raises BadInput for one that is not there."""
    return 0 if camera is None else cameras.index(choose("camera", camera, cameras))
