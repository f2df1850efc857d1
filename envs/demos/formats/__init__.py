"""Formats of demonstrations: each is read and written as a stream of episodes, one in memory at a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from envs.demos.episodes import Episode
from whatwhere.errors import BadInput, choose
from whatwhere.look import Missing, look

# name → where its module is. A module has NAME, recognises(path), Source (what it reads), is_same(out, claim) and write(out, source, writing, claim).
FORMATS: dict[str, str] = {
    "folder": "envs.demos.formats.folder",
    "robomimic": "envs.demos.formats.robomimic",
    "lerobot": "envs.demos.formats.lerobot",
}


@dataclass(frozen=True)
class Reading:
    """What a file of others does not say by itself; None takes the file's own word. Demonstrations of this package say it all, and ignore this."""

    task: str | None = None
    instruction: str | None = None
    cameras: tuple[str, ...] | None = None
    proprio: tuple[str, ...] | None = None  # names of observations, joined in this order
    size: int | None = None  # pixels: pictures are cut to their middle square and scaled to it
    draw: tuple[str, ...] | None = None  # robomimic: cameras to draw from the states, with the file's own model, which is then loaded
    as_is: bool = False  # to look at: actions are let pass in whatever units and of whatever controller they are


@dataclass(frozen=True)
class Writing:
    """What may be chosen of the files written."""

    pictures: str = "image"  # lerobot: image (PNG, exact) or video (H.264, with loss)
    crf: int = 18  # lerobot, video: 0 (best) to 51
    valid: float = 0.1  # robomimic: share of demonstrations in mask/valid; the others are in mask/train


class Source(Protocol):
    """Demonstrations being read; a context manager. Raises BadInput, one line, for whatever is missing, damaged or not valid."""

    path: Path

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: Any) -> None: ...
    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a message calls demonstration `index`."""
        ...

    def header(self, index: int) -> dict[str, Any]:
        """Its settings with `success`, `instruction` and `steps`, without its arrays."""
        ...

    def episode(self, index: int) -> Episode:
        """All of it; cheapest in rising order of `index`."""
        ...


def module_of(name: str, field: str = "to") -> Any:
    """The module of a format. Raises BadInput for an unknown name."""
    return importlib.import_module(FORMATS[choose(field, name, FORMATS)])


def open_source(path: str | Path, reading: Reading | None = None) -> Source:
    """Demonstrations at `path`, whatever their format. Raises BadInput if there are none."""
    path = Path(path)
    try:
        if not path.is_dir():
            look(path, "HDF5 file")
    except Missing:
        raise Missing(f"{path}: no such file or folder of demonstrations") from None
    for name in FORMATS:
        module = module_of(name)
        if module.recognises(path):
            return module.Source(path, reading or Reading())
    raise BadInput(
        f"{path}: not demonstrations: needs a folder of episode_<i>.hdf5 or one such file, a robomimic file (*.hdf5) or a LeRobotDataset (meta/info.json)"
    )


def episodes(source: Source) -> Iterator[Episode]:
    """One episode after the other."""
    return (source.episode(index) for index in range(len(source)))
