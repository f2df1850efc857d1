"""Every choice of a fine-tuning, checked before torch is imported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from whatwhere.errors import BadInput, choose, positive
from whatwhere.files import path_name


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `policy/conf/finetune.yaml` describes. Raises BadInput for values that cannot be."""

    task: str
    encoder: str
    demos: str | None
    num_demos: int
    held_out: int
    seed: int
    out: str | None
    streams: str | None
    fusion: str
    cls_fusion: str
    sharing: str
    unfreeze: bool
    steps: int | None
    batch: int
    lr: float
    stream_lr: float
    weight_decay: float
    ema: float
    chunk: int
    execute: int
    m_dropout: float
    proprio_dropout: float
    shifts: int
    shift_px: int
    cache: str
    precision: str
    device: str
    num_threads: int
    save_every: int

    def __post_init__(self) -> None:
        from policy.encoders import ENCODERS
        from policy.fusion import FUSIONS

        choose("encoder", self.encoder, ENCODERS)
        choose("fusion", self.fusion, FUSIONS)
        choose("cls_fusion", self.cls_fusion, FUSIONS)
        choose("sharing", self.sharing, ("separate", "shared"))
        choose("precision", self.precision, ("auto", "fp32", "bf16"))
        for name in ("num_demos", "batch", "chunk", "execute", "shifts", "save_every"):
            positive(name, getattr(self, name))
        for name in ("seed", "held_out"):
            positive(name, getattr(self, name), 0)
        positive("shift_px", self.shift_px, 0)
        if self.steps is not None:
            positive("steps", self.steps)
        for name in ("ema", "m_dropout", "proprio_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: must lie in 0…1, below 1")

    @property
    def folder(self) -> Path:
        """Where the results go: made of the settings, so that the same command resumes."""
        if self.out is not None:
            return Path(self.out)
        return Path("outputs/finetune") / f"{path_name(self.task)}_{self.encoder}_n{self.num_demos}_s{self.seed}{'_unfrozen' if self.unfreeze else ''}"
