"""Every choice of a fine-tuning, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.heads import UNNAMED
from policy.late import check_late
from policy.options import (
    Batch,
    ChunkLength,
    Device,
    Dropout,
    Encoder,
    Fusion,
    Head,
    History,
    Latency,
    LearningRate,
    Precision,
    Sharing,
    StreamsUsed,
    TaskName,
    Threads,
    Version,
    WeightDecay,
)
from whatwhere.files import path_name
from whatwhere.kinds import Count, InputPath, OutputFolder, Range, Seed
from whatwhere.options import options


@options
class Settings:
    """What `policy/conf/finetune.yaml` describes. Raises BadInput for values that cannot be."""

    task: TaskName
    encoder: Encoder
    head: Head
    demos: InputPath | None
    num_demos: Annotated[int, Range(1, 1_000_000)]
    held_out: Annotated[int, Range(0, 1_000_000)]
    seed: Seed
    out: OutputFolder | None
    streams: InputPath | None
    fusion: Fusion
    cls_fusion: Fusion
    sharing: Sharing
    unfreeze: bool
    steps: Count | None
    batch: Batch
    lr: LearningRate
    stream_lr: Annotated[float, Range(0, 1)]
    weight_decay: WeightDecay
    ema: Dropout
    chunk: ChunkLength
    execute: ChunkLength
    m_dropout: Dropout
    proprio_dropout: Dropout
    shifts: Annotated[int, Range(1, 1000)]
    shift_px: Annotated[int, Range(0, 480)]
    mirror: bool | None
    cache: OutputFolder
    precision: Precision
    device: Device
    num_threads: Threads
    save_every: Count
    version: Version | None = None
    latency: Latency = 0
    action_latency: Latency = 0
    history: History = ()
    streams_used: StreamsUsed = "both"

    def __post_init__(self) -> None:
        check_late(self.history, self.latency, self.action_latency, self.execute)

    @property
    def folder(self) -> Path:
        """Where the results go: made of the settings, so that the same command resumes."""
        if self.out is not None:
            return Path(self.out)
        policy = self.encoder if self.head == UNNAMED else f"{self.encoder}_{self.head}"
        return Path("outputs/finetune") / f"{path_name(self.task)}_{policy}_n{self.num_demos}_s{self.seed}{'_unfrozen' if self.unfreeze else ''}{self._late}"

    @property
    def _late(self) -> str:
        named = {"latency": self.latency, "actions": self.action_latency, "history": "-".join(self.history), "only": self.streams_used.replace("both", "")}
        return "".join(f"_{name}{value}" for name, value in named.items() if value)
