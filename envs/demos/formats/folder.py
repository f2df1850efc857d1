"""Our own: a folder of `episode_<i>.hdf5`, or one such file; see `envs.demos.episodes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import h5py

from envs.demos.episodes import NAME, Episode, episode_paths, read_attrs, read_episode, write_episode
from envs.demos.formats import Reading, Writing
from envs.demos.formats import Source as AnySource
from envs.demos.hdf5 import Hdf5File
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.owned import claim, owned

BOOK = "settings.json"


def recognises(path: Path) -> bool:
    """A folder with episodes, or a file that is one: with one demo that is ours, or named as if it were."""
    if path.is_dir():
        return any(NAME.fullmatch(file.name) for file in path.iterdir())
    return bool(NAME.fullmatch(path.name)) and not _is_robomimic(path)


def _is_robomimic(path: Path) -> bool:
    """Whether an `episode_<i>.hdf5` holds more demonstrations than one, or none of ours: then it is a robomimic file of that name."""
    try:
        with Hdf5File(path) as file, file.reading():
            data = file.hard("data", h5py.Group)
            return file.names(data) != ["demo_0"] or "whatwhere" not in file.hard("data/demo_0", h5py.Group).attrs
    except BadInput:
        return False  # damaged: whoever reads it says how


class Source:
    """See `envs.demos.formats.Source`. Ignores `reading`: the files say everything themselves."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path = path
        self.paths = [path] if path.is_file() else episode_paths(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        return

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index].name

    def header(self, index: int) -> dict[str, Any]:
        return read_attrs(self.paths[index])

    def episode(self, index: int) -> Episode:
        return read_episode(self.paths[index])


def write(out: Path, source: AnySource, writing: Writing, content: dict[str, Any]) -> None:
    """Writes the folder; a killed run carries on. Raises BadInput if `out` holds anything else."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"out={out}: is a file; to=folder writes a folder; choose another out=")
    if out.is_dir() and not (out / BOOK).exists() and any(not file.name.startswith(".") for file in out.iterdir()):
        raise BadInput(f"out={out}: holds files that this command did not write; choose another out=")
    with owned(out):
        claim(out, content)
        for index in range(len(source)):
            if not (path := out / f"episode_{index}.hdf5").exists():
                check_writable("out", out)
                write_episode(path, source.episode(index))
            else:
                read_attrs(path)
