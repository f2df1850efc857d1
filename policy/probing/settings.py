"""Every choice of a probe, checked before torch is imported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from whatwhere.errors import BadInput, choose, positive

RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `policy/conf/probe.yaml` describes."""

    checkpoint: str | None
    scenes: str
    tasks: str
    camera: str | None
    train: int
    held_out: int
    quick: bool
    baselines: bool
    play: str | None
    holdout: float
    gap: int
    pairs: int
    out: str | None
    cache: str
    seed: int
    device: str
    num_threads: int

    def __post_init__(self) -> None:
        if self.checkpoint is None:
            raise BadInput(f"checkpoint: missing; give a folder of streams, a policy, or {RANDOM}")
        for name, least in (("train", 50), ("held_out", 10), ("gap", 1), ("pairs", 50), ("seed", 0), ("num_threads", 0)):
            positive(name, getattr(self, name), least)
        if not 0 < self.holdout < 1:
            raise BadInput(f"holdout={self.holdout}: must be above 0 and less than 1")
        there = self.there
        if not there:
            raise BadInput(f"scenes={self.scenes}: no task's scenes there; draw them with python -m envs.demos.scenes out={self.scenes}")
        for task in self.names:
            choose("tasks", task, there)
        if self.play is not None and not (Path(self.play) / "labels" / "actions.npy").is_file():
            raise BadInput(f"play={self.play}: needs play with labels/actions.npy; make it with python -m envs.demos.play out={self.play}")

    @property
    def there(self) -> list[str]:
        return sorted(path.parent.name for path in Path(self.scenes).glob("*/index.json"))

    @property
    def names(self) -> list[str]:
        return self.there if self.tasks == "all" else [name.strip() for name in self.tasks.split(",")]
