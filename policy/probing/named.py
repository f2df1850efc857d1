"""Reads scenes whose things have names: pictures from each camera, and where what lies in them (`python -m envs.demos.scenes version=1`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NotRequired, SupportsInt

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from msgspec import Meta

from policy.probing.scenes import ScenesIndex, stored
from whatwhere.errors import BadInput
from whatwhere.files import read_json
from whatwhere.schema import Name, Text

LEAST_VISIBLE = 12 / 96**2  # share of the picture that a thing must fill to be found: a sixth of one in the scene camera
REMEDY = "draw them with python -m envs.demos.scenes version=1"
NameList = Annotated[list[Name], Meta(min_length=1, max_length=1000)]
Sentences = dict[Name, Annotated[list[Text], Meta(min_length=1, max_length=1000)]]


class NamedIndex(ScenesIndex):
    """`index.json` of scenes in version 1; what is read of it beside what every folder of scenes has."""

    colours: NameList  # pyright: ignore[reportIncompatibleVariableOverride]
    shapes: NameList  # pyright: ignore[reportIncompatibleVariableOverride]
    phrases: Annotated[list[Text], Meta(min_length=1, max_length=1000)]  # pyright: ignore[reportIncompatibleVariableOverride]
    sentences: Sentences  # of each task, with {a} and {b} for names
    unseen_sentences: NotRequired[Sentences]
    split: NotRequired[Name]


@dataclass(frozen=True)
class Named:
    """The first frame of each scene from each camera, and its things (o of them); scenes to learn from come before the held-out ones."""

    frames: UInt8[np.ndarray, "n c 2 h w 3"]
    colours: Int[np.ndarray, "n o"]  # numbers into the lists of `index`
    shapes: Int[np.ndarray, "n o"]
    places: Float[np.ndarray, "n c o 2"]  # x to the right, y down, from 0 to 1, of the first frame
    seen: Bool[np.ndarray, "n c o"]  # enough of it to be found: not hidden, not out of view
    index: NamedIndex
    num_fit: int
    digest: str

    def __len__(self) -> int:
        return len(self.colours)

    @property
    def size(self) -> int:
        """Pixels of a picture's edge."""
        return int(self.frames.shape[3])

    @property
    def kinds(self) -> Int[np.ndarray, "n o"]:
        """One number for each pair of colour and shape."""
        return self.colours * len(self.index["shapes"]) + self.shapes

    def name(self, kind: SupportsInt) -> str:
        """As in "red cube"."""
        colour, shape = divmod(int(kind), len(self.index["shapes"]))
        return f"{self.index['colours'][colour]} {self.index['shapes'][shape]}"


def read_index(folder: str | Path) -> NamedIndex:
    """What the folder says of its scenes, without a look at them. Raises BadInput."""
    folder = Path(folder)
    if not (folder / "index.json").is_file():
        raise BadInput(f"scenes={folder}: no index.json; {REMEDY} out={folder.parent} tasks={folder.name}")
    return read_json(folder / "index.json", NamedIndex)


def read_named(folder: str | Path, fit: int | None = None, held_out: int | None = None, least_visible: float = LEAST_VISIBLE) -> Named:
    """The first `fit` and `held_out` scenes of a task's folder (None: all). Raises BadInput."""
    folder = Path(folder)
    index = read_index(folder)
    _, frames, (colours, shapes, pixels, visible) = stored(folder, ("colours", "shapes", "objects_pixel", "objects_visible"))
    n, cameras, size = len(frames), len(index["cameras"]), frames.shape[3]
    objects = colours.shape[-1]
    valid = (n, objects), (n, objects), (n, cameras, 2, objects, 2), (n, cameras, objects)
    found = tuple(array.shape for array in (colours, shapes, pixels, visible))
    numbers = [(colours, len(index["colours"])), (shapes, len(index["shapes"]))]
    if found != valid or not all(((0 <= values) & (values < most)).all() for values, most in numbers):
        raise BadInput(f"{folder / 'labels.npz'}: found {', '.join(map(str, found))}, or numbers past the names in index.json; {REMEDY}")
    first = min(index["scenes"], n)
    for name, wanted, there in (("train", fit, first), ("held_out", held_out, n - first)):
        if wanted is not None and wanted > there:
            raise BadInput(f"{name}={wanted}: {folder} has {there} such scenes; draw more with python -m envs.demos.scenes version=1")
    chosen = np.concatenate([np.arange(first)[:fit], np.arange(first, n)[:held_out]])
    num_fit = len(range(first)[:fit])
    places = pixels[:, :, 0] / size
    with np.errstate(invalid="ignore"):  # nan: behind the camera
        seen = ((places > 0) & (places < 1)).all(axis=-1) & (visible >= least_visible * size**2)
    digest = hashlib.sha256(json.dumps([index, num_fit, len(chosen)], sort_keys=True).encode()).hexdigest()
    return Named(frames[chosen], colours[chosen], shapes[chosen], np.nan_to_num(places[chosen], nan=-1.0), seen[chosen], index, num_fit, digest)
