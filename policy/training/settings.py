"""Every choice of a fine-tuning, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.choices import chosen
from policy.heads import WITH_PLANNER
from policy.joins import UNNAMED_JOIN
from policy.language import UNNAMED_LANGUAGE
from policy.late import check_late
from policy.memory import LONGEST
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
from policy.training.brings import brought
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import path_name
from whatwhere.kinds import Count, InputPath, Length, OneOf, OutputFolder, Range, Seed, Share
from whatwhere.options import options

FAR = 0.25  # share of an inverse model's shifted samples whose later frame may be any of the rest of the episode
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
    change: Annotated[str, OneOf("past", "future")] = "past"
    inverse: InputPath | None = None
    actions: Annotated[int, Range(1, 1_000_000)] | Annotated[str, OneOf("all", "none")] = "all"
    ahead: Annotated[int, Range(1, 1000)] | None = None
    far: Share = FAR
    camera_dropout: Dropout = 0.0
    memory: Annotated[int, Range(0, LONGEST)] = 0
    align: InputPath | None = None
    contrast: Annotated[float, Range(0, 1000)] = 0.0

    def __post_init__(self) -> None:
        for name, value in brought(self).items():
            object.__setattr__(self, name, value)
        check_late(self.history, self.latency, self.action_latency, self.execute)
        if len(set(self.task)) < len(self.task):
            raise BadInput(f"task=[{','.join(self.task)}]: names one twice; name it once, with all its folders: task={self.task[0]} demos=[A,B]")
        if self.demos is not None and len(self.task) not in (1, len(self.demos)):
            raise BadInput(f"demos: {counted(len(self.demos), 'folder')} for {len(self.task)} tasks; give one for each, in the same order")

        self._check_planned()

    def _check_planned(self) -> None:
        """What only heads with a planner know, and what they do not know."""
        given = {"change": self.change, "inverse": self.inverse, "actions": self.actions, "ahead": self.ahead, "far": self.far}
        unusual = [name for name, value in given.items() if value not in ("past", None, "all", FAR)]
        if self.head not in WITH_PLANNER:
            if unusual:
                raise BadInput(f"{unusual[0]}={given[unusual[0]]}: head={self.head} has no planner; leave it out or use head={WITH_PLANNER[0]}")
            return
        others = {"latency": self.latency, "action_latency": self.action_latency, "unfreeze": self.unfreeze, "streams_used": self.streams_used}
        for name, value in others.items():
            if value not in (0, False, "both"):
                raise BadInput(f"{name}={str(value).lower()}: head={self.head} cannot do that; leave it out or use another head")
        if self.change == "future":
            for name in ("inverse", "actions"):
                if name in unusual:
                    raise BadInput(f"{name}={given[name]}: is for a planner, change=past; an inverse model (change=future) learns from actions alone")
            if self.join != UNNAMED_JOIN:
                raise BadInput(f"join={self.join}: an inverse model (change=future) is told no instruction; leave it out")
        elif self.actions != "all":
            if self.inverse is None:
                raise BadInput(f"actions={self.actions}: needs inverse=FOLDER, a model that has learnt from other actions (policy.finetune change=future)")
            if self.actions != "none" and (int(self.actions) > self.num_demos or len(self.demos or ()) > 1):
                raise BadInput(f"actions={self.actions}: needs one folder of demos, of which num_demos={self.num_demos} are learnt from")

    @property
    def task_name(self) -> str:
        """What the policy is called by: its task, or its tasks."""
        return "+".join(self.task)

    @property
    def folder(self) -> Path:
        """Where the results go: made of the settings, so that the same command resumes."""
        if self.out is not None:
            return Path(self.out)
        name = "_".join([path_name(self.task_name), *chosen(self), *self._planned, f"n{self.num_demos}", f"s{self.seed}"])
        return Path("outputs/finetune") / f"{name}{'_unfrozen' if self.unfreeze else ''}{self._late}"

    @property
    def _planned(self) -> list[str]:
        over = [] if self.inverse is None else [f"over-{path_name(Path(self.inverse).name)}"]
        told = [f"actions-{self.actions}"] if self.actions != "all" else []
        return [*(["inverse"] if self.change == "future" else []), *over, *told, *([] if self.ahead is None else [f"ahead{self.ahead}"])]

    @property
    def _late(self) -> str:
        named = {"latency": self.latency, "actions": self.action_latency, "history": "-".join(self.history), "only": self.streams_used.replace("both", "")}
        named |= {"dark": f"{self.camera_dropout:g}" if self.camera_dropout else "", "memory": self.memory}
        return "".join(f"_{name}{value}" for name, value in named.items() if value)
