"""Every choice of a fine-tuning, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.choices import chosen
from policy.joins import UNNAMED_JOIN
from policy.language import UNNAMED_LANGUAGE
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
    Join,
    Language,
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
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import path_name
from whatwhere.kinds import Count, InputPath, Length, OutputFolder, Range, Seed
from whatwhere.options import options

MOST_TASKS = 10  # of one policy


@options
class Settings:
    """What `policy/conf/finetune.yaml` describes. Raises BadInput for values that cannot be."""

    task: Annotated[tuple[TaskName, ...], Length(1, MOST_TASKS)]
    encoder: Encoder
    head: Head
    demos: Annotated[tuple[InputPath, ...], Length(1, MOST_TASKS)] | None
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
    language: Language = UNNAMED_LANGUAGE
    join: Join = UNNAMED_JOIN
    sentence_encoder: InputPath | None = None

    def __post_init__(self) -> None:
        check_late(self.history, self.latency, self.action_latency, self.execute)
        if len(set(self.task)) < len(self.task):
            raise BadInput(f"task=[{','.join(self.task)}]: names one twice; name it once, with all its folders: task={self.task[0]} demos=[A,B]")
        if self.demos is not None and len(self.task) not in (1, len(self.demos)):
            raise BadInput(f"demos: {counted(len(self.demos), 'folder')} for {len(self.task)} tasks; give one for each, in the same order")

    @property
    def task_name(self) -> str:
        """What the policy is called by: its task, or its tasks."""
        return "+".join(self.task)

    @property
    def folder(self) -> Path:
        """Where the results go: made of the settings, so that the same command resumes."""
        if self.out is not None:
            return Path(self.out)
        name = "_".join([path_name(self.task_name), *chosen(self), f"n{self.num_demos}", f"s{self.seed}"])
        return Path("outputs/finetune") / f"{name}{'_unfrozen' if self.unfreeze else ''}{self._late}"

    @property
    def _late(self) -> str:
        named = {"latency": self.latency, "actions": self.action_latency, "history": "-".join(self.history), "only": self.streams_used.replace("both", "")}
        return "".join(f"_{name}{value}" for name, value in named.items() if value)
