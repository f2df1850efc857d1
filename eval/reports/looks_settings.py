"""Every choice of `python -m eval.looks`, checked before a simulator or torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated

from policy.options import Threads
from policy.storage.stored import Stored, verify
from whatwhere.errors import BadInput
from whatwhere.kinds import Length, OutputFolder, Range, Seed, Text
from whatwhere.options import options


@options
class Settings:
    """What `eval/conf/looks.yaml` describes."""

    checkpoints: Annotated[tuple[Annotated[str, Text("a checkpoint", 4096)], ...], Length(1, 100)]
    starts: Annotated[int, Range(1, 1000)]
    seed: Seed
    steps: Annotated[int, Range(0, 10_000)]
    out: OutputFolder
    num_threads: Threads

    def __post_init__(self) -> None:
        placed(self.checkpoints)


def placed(checkpoints: Sequence[str]) -> dict[tuple[str, str], str]:
    """By (row, task) of the pictures, the name of a checkpoint. Raises BadInput."""
    found: dict[tuple[str, str], str] = {}
    seen: dict[str, tuple[object, ...]] = {}
    for name in checkpoints:
        stored = verify(name)
        where = PurePath(name).name, (task := _task(name, stored))
        if where in found:
            raise BadInput(f"checkpoints={name}: {found[where]} is called {where[0]} too, and is of the same task; rows need names of their own")
        found[where] = name
        policy = stored.policy
        sees = tuple(policy.cameras), policy.size, policy.frame_gap
        if seen.setdefault(task, sees) != sees:
            raise BadInput(f"checkpoints={name}: sees {sees} (cameras, pixels, frame_gap), another policy of {task} {seen[task]}; no picture is for both")
    return found


def _task(name: str, stored: Stored) -> str:
    """What it is for. Raises BadInput for policies that cannot be asked once, in the middle of somebody else's episode."""
    from envs.catalogue import TASKS

    policy, task, training = stored.policy, stored.config["task"], stored.config.get("training") or {}
    if task not in TASKS or training.get("task_version") not in ("0", None):
        raise BadInput(f"checkpoints={name}: of {task}, version {training.get('task_version')}; needs one of version 0 of {', '.join(TASKS)}")
    for key, value, usual in (("change", policy.change, "past"), ("latency", policy.latency, 0), ("memory", policy.memory, 0)):
        if value != usual:
            raise BadInput(f"checkpoints={name}: {key}={value}; only policies that see the newest picture and need no earlier ones can be compared here")
    return task
