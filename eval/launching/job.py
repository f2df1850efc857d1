"""A cell of a study as a file: the commands that train and evaluate one policy, and what is there when it is done. `python -m eval.cell` carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.results import RESULTS, read_about
from whatwhere.errors import BadInput, Failed
from whatwhere.files import read_json, write_json

FOLDER = "cells"  # of a study's `out`
EVALUATION = "eval.run"
PLACES = ("demos", "out", "checkpoint", "inverse", "cache", "num_threads", "device")


@dataclass(frozen=True)
class Job:
    """`folder` is where the study was started: paths in `commands` and `rows` count from there, on every machine."""

    name: str
    folder: str
    commands: tuple[tuple[str, ...], ...]  # words after `python -m`
    rows: tuple[str, ...]  # folders that `eval.run` fills
    episodes: int
    seed: int
    place: Path  # where the job's own files lie

    @property
    def file(self) -> Path:
        return self.place / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What its commands said, on whatever machine."""
        return self.place / f"{self.name}.log"

    @property
    def lease(self) -> Path:
        """There while somebody carries it out."""
        return self.place / f"{self.name}.lease"

    def write(self) -> None:
        commands = [{"module": module, "words": words} for module, *words in self.commands]
        about = {"name": self.name, "folder": self.folder, "commands": commands, "rows": self.rows, "episodes": self.episodes, "seed": self.seed}
        write_json(self.file, about)

    def check_same(self) -> None:
        """Raises BadInput where a policy of this name was trained with other settings and evaluated: its results are not those that are asked for.

        One that is not done yet is left to its own commands, which refuse a folder of other settings.
        """
        if not self.file.exists() or not self.is_done():
            return
        from eval.launching.records import JobFile

        before = _learnt((one["module"], *one["words"]) for one in read_json(self.file, JobFile)["commands"])
        now = _learnt(self.commands)
        if before != now:
            there, asked = (", ".join(sorted(some)) or "without them" for some in (before - now, now - before))
            raise BadInput(f"out={self.place.parent}: holds {self.name} of other settings ({there}; now {asked}); choose another out=")

    def is_done(self) -> bool:
        """Whether all of it was evaluated, on these starts; on others, `eval.run` will refuse the folder."""
        return all(is_whole(Path(self.folder, rows), self.episodes, self.seed) for rows in self.rows)


def _learnt(commands: Iterable[Sequence[str]]) -> set[str]:
    """What its trainings are told, but for where things lie and what changes no weight."""
    return {word for module, *words in commands if module != EVALUATION for word in words if word.partition("=")[0] not in PLACES}


def is_whole(rows: Path, episodes: int, seed: int) -> bool:
    """Whether a folder holds an evaluation of so many episodes of these starts."""
    path = rows / RESULTS
    found = read_about(path) if path.exists() else {}
    return (found.get("episodes"), found.get("seed")) == (episodes, seed)


def read_job(file: str | Path) -> Job:
    """Raises BadInput if the file is missing or describes no job, Failed where its folder is not on this machine."""
    from eval.launching.records import JobFile

    found = read_json(file, JobFile)
    if not Path(found["folder"]).is_dir():
        raise Failed(f"{file}: {found['folder']} is no folder here; all machines of a study need the same folders")
    commands = tuple((one["module"], *one["words"]) for one in found["commands"])
    about = {key: found[key] for key in ("name", "folder", "episodes", "seed")}
    return Job(**about, commands=commands, rows=tuple(found["rows"]), place=Path(file).absolute().parent)
