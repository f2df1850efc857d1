"""Every choice of a pre-training run, checked before torch is imported."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from policy.pretrain import OBJECTIVES
from whatwhere.errors import BadInput, choose, positive

PLACES = (
    "out",
    "cache",
    "device",
    "num_threads",
    "loaders",
    "save_every",
    "validate_every",
    "validate_batches",
    "strict",
    "probe",
    "probe_every",
)  # no influence on what is learnt


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `policy/conf/pretrain.yaml` describes; `objective` holds the objective's name and its own settings."""

    objective: dict[str, Any]
    data: str
    out: str
    init: str | None
    preset: str | None
    steps: int
    epochs: float | None
    batch: int
    micro_batches: int | None
    lr: float
    weight_decay: float
    warmup: float
    seed: int
    static: float
    max_gap: int
    crop: tuple[float, ...]
    size: int | None
    stored_px: int | None
    fps: float | None
    image_folders: str
    white: float | None
    cache: str
    holdout: float
    strict: bool
    loaders: int
    patch: int
    dim: int
    depth: int
    heads: int
    stem: str
    validate_every: int
    validate_batches: int
    probe: str | None
    probe_every: int
    precision: str
    device: str
    num_threads: int
    save_every: int

    def __post_init__(self) -> None:
        choose("objective", str(self.objective.get("name")), OBJECTIVES)
        choose("precision", self.precision, ("auto", "fp32", "bf16"))
        choose("image_folders", self.image_folders, ("auto", "clip", "images"))
        choose("stem", self.stem, ("conv", "patch"))
        for name in ("steps", "batch", "max_gap", "patch", "dim", "depth", "heads", "save_every", "validate_batches", "probe_every"):
            positive(name, getattr(self, name))
        for name in ("seed", "loaders", "validate_every", "num_threads", "weight_decay"):
            positive(name, getattr(self, name), 0)
        for name in ("micro_batches", "size", "stored_px"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in ("lr", "fps", "epochs", "white"):
            value = getattr(self, name)
            if value is not None and not (0 < value < math.inf):
                raise BadInput(f"{name}={value}: must be above 0")
        for name in ("static", "warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name}={getattr(self, name)}: must lie in 0…1")
        if not 0 <= self.holdout < 1:
            raise BadInput(f"holdout={self.holdout}: must be at least 0 and less than 1")
        if len(self.crop) != 2 or not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise BadInput(f"crop={list(self.crop)}: needs two shares, from … to, above 0 and at most 1, such as [0.4,1.0]")
        if self.micro_batches is not None and self.batch % self.micro_batches:
            raise BadInput(f"micro_batches={self.micro_batches}: must divide batch={self.batch}")
        if not Path(self.data).is_dir():
            raise BadInput(f"data={self.data}: no such folder; make one with python -m envs.demos.play out={self.data}")
        if self.probe is not None and not Path(self.probe).is_dir():
            raise BadInput(f"probe={self.probe}: no such folder; draw a task's scenes with python -m envs.demos.scenes")
        if self.init is not None and not Path(self.init).is_dir():
            raise BadInput(f"init={self.init}: no such folder; needs the streams of an earlier stage, OUT/streams/<digits>")
