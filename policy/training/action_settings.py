"""Every choice of the measurement of inverse dynamics, checked before torch is imported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from whatwhere.errors import BadInput, choose, positive


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `policy/conf/inverse_dynamics.yaml` describes."""

    streams: str | None
    data: str
    out: str
    gap: int
    samples: int
    steps: int
    batch: int
    lr: float
    seed: int
    holdout: float
    precision: str
    device: str
    num_threads: int

    def __post_init__(self) -> None:
        for name in ("gap", "samples", "steps", "batch"):
            positive(name, getattr(self, name))
        positive("seed", self.seed, 0)
        choose("precision", self.precision, ("auto", "fp32", "bf16"))
        if not self.lr > 0:
            raise BadInput(f"lr={self.lr}: must be above 0")
        if not 0 < self.holdout < 1:
            raise BadInput(f"holdout={self.holdout}: must be above 0 and less than 1")
        if self.streams is None or not Path(self.streams).is_dir():
            raise BadInput(f"streams={self.streams}: needs the folder of pre-trained streams, OUT/streams/<digits> of python -m policy.pretrain")
        if not (Path(self.data) / "labels" / "actions.npy").is_file():
            raise BadInput(f"data={self.data}: needs play with labels/actions.npy; make it with python -m envs.demos.play out={self.data}")
