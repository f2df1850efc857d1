"""What there is to learn from: named clips and images as uint8 arrays on disk, one file mapped into memory for each or one for all."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from policy.pretrain.listing import PLAY, find_items
from policy.storage.mapped import mapped
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import read_json
from whatwhere.schema import Index, Name

if TYPE_CHECKING:
    from policy.pretrain.data_settings import DataSettings

DEFAULT_SIZE = 96  # pixels, where neither the settings nor the footage say


@runtime_checkable
class Footage(Protocol):
    """Clips (t > 1 frames) and images (t = 1). Clips of one name belong together: all are held out, or none."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def shapes(self) -> Sequence[tuple[int, int, int]]:  # (t, h, w)
        ...

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]: ...


class PlayedClip(TypedDict):
    take: Index
    camera: Name


class PlayIndex(TypedDict):
    """`index.json` beside the `frames.npy` of `python -m envs.demos.play`; what is read of it. Others may lay another `index.json` there."""

    clip_list: NotRequired[list[PlayedClip]]


class Play:
    """A folder's `frames.npy`: uint8 (clips, frames, h, w, 3), as written by `python -m envs.demos.play`.

    Clips of one take, seen by several cameras, share a name. Raises BadInput for another file.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / PLAY
        self.frames = mapped(path, "make one with python -m envs.demos.play", "c")  # torch warns of arrays it may not write to
        if self.frames.ndim != 5 or self.frames.dtype != np.uint8 or self.frames.shape[-1] != 3 or self.frames.shape[1] < 2 or 0 in self.frames.shape:
            raise BadInput(f"{path}: found {self.frames.dtype} {self.frames.shape}; needs uint8 (clips, frames, h, w, 3) with two frames or more")
        clips, t, h, w = self.frames.shape[:4]
        self.names = [f"clip {i}" for i in range(clips)]
        self.shapes = [(int(t), int(h), int(w))] * clips
        index = path.with_name("index.json")
        if lexists(index):
            rows = read_json(index, PlayIndex).get("clip_list", [])
            self.names = [f"take {row['take']}" for row in rows] if len(rows) == clips else self.names

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        return self.frames[index]


class Joined:
    """Several folders as one; each one's names begin with its own."""

    def __init__(self, parts: Mapping[str, Footage]) -> None:
        self.parts = list(parts.values())
        self.names = [f"{before}/{name}" if before else name for before, part in parts.items() for name in part.names]
        self.shapes = [shape for part in self.parts for shape in part.shapes]
        self.ends = list(itertools.accumulate(len(part.names) for part in self.parts))

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        part = bisect.bisect_right(self.ends, index)
        return self.parts[part][index - (self.ends[part - 1] if part else 0)]


def open_footage(settings: DataSettings) -> Footage:
    """What `data=` holds: its own `frames.npy`, or what lies at any depth below it: videos, pictures, and folders with a `frames.npy`.

    Videos and pictures are decoded into `cache=` where they are not there yet. Raises BadInput if there is nothing that can be read.
    """
    from policy.pretrain.video_folder import VideoFolder

    root = Path(settings.data)
    found = find_items(root, settings.image_folders)
    if (root / PLAY).exists():
        if found.items:
            print(
                f"data={root}: {PLAY} is read; passed over {counted(len(found.items), 'video')} and pictures beside it ({found.items[0].name} …)",
                file=sys.stderr,
            )
        return Play(root)
    parts: dict[str, Footage] = {path.parent.relative_to(root).as_posix(): Play(path.parent) for path in sorted(root.rglob(PLAY))}
    short_px = settings.stored_px or settings.size or DEFAULT_SIZE
    if not parts or found.items:
        parts[""] = VideoFolder(
            root, settings.cache, short_px, settings.fps, strict=settings.strict, threads=settings.loaders, white=settings.white, listing=found
        )
    return parts[""] if len(parts) == 1 and "" in parts else Joined(parts)


def digest(footage: Footage) -> str:
    """Names and sizes of the footage as 16 hex digits: a run that is resumed must find the same."""
    return hashlib.sha256(json.dumps([list(footage.names), [list(shape) for shape in footage.shapes]]).encode()).hexdigest()[:16]


def is_held_out(name: str, share: float) -> bool:
    """Whether a clip is kept for validation: by a hash of its name, so that it is the same clip in every run and however many others there are."""
    return int(hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8], 16) < share * 2**32
