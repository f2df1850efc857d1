"""`source=file`: recorded commands instead of a person, for tests and for playing demonstrations again (another size, another version of a task).

commands= is an episode file, a folder of them (each is played on its own start), or JSON lines for one start: an object a control step with `move`, `turn`,
`speed`, `buttons` as in `Command`, or with `action` (and `arm_goal`) as in a journal; a first line may name `seed` and `start` (0, if it does not).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from envs.demos.episodes import episode_paths, read_episode
from envs.demos.layout import MAX_STEPS
from envs.teleop.device import Command, Status
from envs.teleop.messages import Line, command_of
from whatwhere.errors import BadInput
from whatwhere.look import read
from whatwhere.schema import checked
from whatwhere.strict_json import parse


class CommandFile:
    """Plays commands as fast as the simulator goes, saves each episode at its end, and ends after the last start it has commands for."""

    paced, asks = False, False

    def __init__(self, commands: str | None) -> None:
        """Raises BadInput if `commands` is missing or holds none."""
        if commands is None:
            raise BadInput("commands: missing; source=file needs commands=FILE (an episode, a folder of them, or JSON lines)")
        path = Path(commands)
        self._commands: dict[tuple[int, int], list[Command]] = {}
        if path.is_dir() or path.suffix == ".hdf5":
            for file in episode_paths(path) if path.is_dir() else [path]:
                start, steps = _of_episode(file)
                self._commands[start] = steps
        else:
            start, steps = read_commands(path)
            self._commands[start] = steps
        self._status = Status()

    def open(self, env: Any) -> None:
        """Raises BadInput if recorded actions are of another task."""
        for (seed, start), steps in self._commands.items():
            sizes = {len(command.action) for command in steps if command.action is not None}
            if sizes - {env.action_dim}:
                raise BadInput(f"commands of seed {seed}, start {start}: actions of {sorted(sizes)} numbers; task={env.task} has {env.action_dim}")

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        self._status = Status()
        self._present = self._commands.get((seed, start), [])
        if self._present:
            return "play"
        return "skip" if any(known == seed and later > start for known, later in self._commands) else "end"

    def read(self) -> Command:
        state, step = self._status.state, self._status.steps
        if state == "recording" and step < len(self._present):
            return self._present[step]
        return Command(buttons=({"ready": "start", "recording": "save", "review": "save"}.get(state, "quit"),))

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        if status.problem:  # nobody is there to make room on the disk
            raise SystemExit(status.message)
        self._status = status

    def close(self) -> None:
        """Nothing is open."""


def _of_episode(path: Path) -> tuple[tuple[int, int], list[Command]]:
    episode = read_episode(path, frames=False)
    seed, start = episode.attrs["seed"], episode.attrs["episode"]
    if seed is None or start is None:
        raise BadInput(f"{path}: does not say from which seed and start it is to be played")
    goals = {int(step): np.array(goal) for step, *goal in episode.attrs.get("arm_goals") or ()}
    actions = episode.actions if episode.executed_actions is None else episode.executed_actions
    return (seed, start), [Command(action=action, arm_goal=goals.get(step)) for step, action in enumerate(actions)]


def read_commands(path: Path) -> tuple[tuple[int, int], list[Command]]:
    """(seed, start) and the commands of a file of JSON lines. Raises BadInput naming the line."""
    place, commands = (0, 0), []
    for number, line in enumerate(read(path, "text file").splitlines(), 1):
        text, where = re.sub(rb"^[0-9a-f]{8} ", b"", line), f"{path}, line {number}"  # without the checksum of a journal's line
        if not text.strip():
            continue
        row = checked(parse(text, where), Line, where)
        if "seed" in row or "start" in row:
            place = (row.get("seed", 0), row.get("start", 0))
        elif row:
            commands.append(_command(row))
            if len(commands) > MAX_STEPS:
                raise BadInput(f"{path}: more than {MAX_STEPS} commands, as no episode has")
    if not commands:
        raise BadInput(f"{path}: holds no commands")
    return place, commands


def _command(row: Line) -> Command:
    if "action" in row:
        goal = row.get("arm_goal")
        return Command(action=np.array(row["action"], np.float32), arm_goal=None if goal is None else np.array(goal, np.float64))
    return command_of(row, speed=1.0)
