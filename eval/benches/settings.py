"""Every choice of a benchmark, checked before a simulator or torch is imported."""

from __future__ import annotations

from dataclasses import dataclass

from whatwhere.errors import BadInput, choose, positive

# Each a module with `measure(settings) -> list[Figure]`.
PARTS = {"env": "eval.benches.env", "policy": "eval.benches.policy", "pretrain": "eval.benches.pretrain"}


@dataclass(frozen=True)
class Settings:
    what: str
    tasks: list[str] | None
    size: int
    rounds: int
    steps: int
    states: int
    seed: int
    pictures: str | None
    out: str | None
    into: str | None

    def __post_init__(self) -> None:
        from envs import TASKS

        choose("what", self.what, PARTS)
        for task in self.tasks or ():
            choose("tasks", task, TASKS)
        for name, least in (("size", 16), ("rounds", 1), ("steps", 1), ("states", 1), ("seed", 0)):
            positive(name, getattr(self, name), least)
        if self.size > 480:
            raise BadInput(f"size={self.size}: must be at most 480")
