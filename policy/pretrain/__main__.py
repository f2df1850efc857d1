"""`python -m policy.pretrain objective=video_prediction data=FOLDER out=FOLDER`: resumable, and the same to the bit after `kill -9`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from policy.pretrain import OBJECTIVES
from whatwhere.command import command
from whatwhere.errors import BadInput, choose, positive


@dataclasses.dataclass(frozen=True)
class Settings:
    objective: str
    data: str
    out: str
    steps: int
    batch: int
    lr: float
    seed: int
    static: float
    max_gap: int
    hidden: float
    dim: int
    depth: int
    heads: int
    precision: str
    device: str
    num_threads: int
    save_every: int

    def __post_init__(self) -> None:
        choose("objective", self.objective, OBJECTIVES)
        choose("precision", self.precision, ("auto", "fp32", "bf16"))
        for name in ("steps", "batch", "max_gap", "dim", "depth", "heads", "save_every"):
            positive(name, getattr(self, name))
        for name in ("static", "hidden"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name}={getattr(self, name)}: must lie in 0…1")
        if not Path(self.data).is_dir():
            raise BadInput(f"data={self.data}: no such folder; make one with python -m envs.demos.play out={self.data}")


def main(settings: Settings) -> None:
    from policy.pretrain.loop import pretrain

    pretrain(settings)


if __name__ == "__main__":
    command("policy.conf", "pretrain", Settings, main)
