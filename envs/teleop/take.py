"""One episode on its way from the first step to its file: rows in memory, and in the journal before they are sent to the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.demos.episodes import write_episode
from envs.demos.journal import Journal, read
from envs.demos.recording import Recording
from envs.demos.starts import Starts, next_free
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from envs.base import TaskEnv

JOURNAL = ".journal.jsonl"
FAILED = "failed"


def unfinished(folder: Path, start: int | None, env: TaskEnv) -> list[dict[str, Any]]:
    """The rows of the journal in `folder`, if it is of this start. Raises BadInput if they are none of this task."""
    from envs.demos.records import JournalHeader, JournalRow
    from whatwhere.schema import checked

    path = folder / JOURNAL
    if (found := read(path)) is None or checked(found[0], JournalHeader, f"{path}: line 1")["start"] != start:
        return []
    sizes = {"action": env.action_dim, "state": len(env.get_state()), "proprio": len(env.proprio())}
    for number, row in enumerate(found[1], 2):
        checked(row, JournalRow, f"{path}: line {number}")
        for name, size in sizes.items():
            if len(row[name]) != size:
                raise BadInput(f"{path}: line {number}: {name}: has {len(row[name])} numbers, task={env.task} has {size}; move it away")
        if "arm_goal" in row and not hasattr(env.simulation, "hold"):
            raise BadInput(f"{path}: line {number}: arm_goal: the arm of task={env.task} moves by its actions alone; move it away")
    return found[1]


class Take:
    """An episode being recorded in `folder`."""

    def __init__(self, env: TaskEnv, info: dict[str, Any], folder: Path, seed: int, start: int, attrs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """`info` is that of the reset; `rows`: of a recovered journal, which stays as it is until the new one is there. Raises OSError."""
        header = {"kind": "journal", "seed": seed, "start": start, "init_hash": info["init_hash"], **attrs}
        self.journal = Journal(folder / JOURNAL, header, rows)
        self.recording = Recording(env, info, seed, start, attrs)
        self.folder, self.start = folder, start

    def __len__(self) -> int:
        return len(self.recording)

    def add(self, action: np.ndarray, arm_goal: np.ndarray | None) -> None:
        """Notes what is about to be done. Raises OSError if that cannot be made sure; then nothing is noted."""
        row = self.recording.row(action, arm_goal)
        self.journal.add(row)
        self.recording.add(row)

    def save(self, starts: Starts, info: dict[str, Any], failure: str | None, rate: dict[str, float]) -> None:
        """Makes the episode durable: a success (`failure` None) in the folder, anything else in its subfolder `failed`.

        Raises OSError (no space left) and then can be called again. Needs at least one row.
        """
        attrs = {"rate": rate} | ({} if failure is None else {"failure": failure})
        episode = self.recording.episode(failure is None, info["position_error_cm"], **attrs)
        row = {"episode": self.start, "success": failure is None, "failure": failure, "steps": len(episode)}
        write_episode(Starts.draft(self.folder, self.start) if failure is None else next_free(self.folder / FAILED), episode)
        starts.add(row | {name: episode.attrs[name] for name in ("position_error_cm", "init_hash")})
        self.journal.remove()

    def drop(self) -> None:
        self.journal.remove()
