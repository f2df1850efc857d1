"""Every choice of a probe, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.options import Device, HeldOutShare, TaskName, Threads
from whatwhere.errors import BadInput, choose
from whatwhere.kinds import InputPath, Length, OutputFolder, Range, Seed, Text
from whatwhere.options import options

RANDOM = "random"


@options
class Settings:
    """What `policy/conf/probe.yaml` describes."""

    checkpoint: InputPath | None
    scenes: InputPath
    tasks: Annotated[tuple[TaskName, ...], Length(1, 100)]
    camera: Annotated[str, Text("the name of a camera", 200)] | None
    train: Annotated[int, Range(50, 1_000_000)]
    held_out: Annotated[int, Range(10, 1_000_000)]
    quick: bool
    baselines: bool
    contents: bool
    play: InputPath | None
    holdout: HeldOutShare
    gap: Annotated[int, Range(1, 10_000)]
    pairs: Annotated[int, Range(50, 10_000_000)]
    out: OutputFolder | None
    cache: OutputFolder
    seed: Seed
    device: Device
    num_threads: Threads

    def __post_init__(self) -> None:
        if self.checkpoint is None:
            raise BadInput(f"checkpoint: missing; give a folder of streams, a policy, or {RANDOM}")
        there = self.there
        if not there:
            raise BadInput(f"scenes={self.scenes}: no task's scenes there; draw them with python -m envs.demos.scenes out={self.scenes}")
        for task in self.names:
            choose("tasks", task, [*there, "all"])
        if self.play is not None and not (Path(self.play) / "labels" / "actions.npy").is_file():
            raise BadInput(f"play={self.play}: needs play with labels/actions.npy; make it with python -m envs.demos.play out={self.play}")

    @property
    def there(self) -> list[str]:
        return sorted(path.parent.name for path in Path(self.scenes).glob("*/index.json"))

    @property
    def names(self) -> list[str]:
        return self.there if "all" in self.tasks else list(self.tasks)
