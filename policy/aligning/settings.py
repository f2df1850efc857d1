"""Every choice of an alignment of words and patches, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.options import Batch, Device, LearningRate, Threads, WeightDecay
from policy.storage.stored import streams_record
from whatwhere.errors import about
from whatwhere.kinds import Count, InputPath, OutputFolder, Range, Seed
from whatwhere.options import options

Weight = Annotated[float, Range(0, 1000)]


@options
class Settings:
    """What `policy/conf/align.yaml` describes."""

    scenes: InputPath
    unseen: InputPath | None
    out: OutputFolder
    streams: InputPath | None
    unfreeze: bool
    places: Weight
    pictures: Weight
    train: Annotated[int, Range(10, 1_000_000)] | None
    among: Annotated[int, Range(2, 10_000)]
    steps: Count
    batch: Batch
    lr: LearningRate
    stream_lr: Annotated[float, Range(0, 1)]
    weight_decay: WeightDecay
    seed: Seed
    device: Device
    num_threads: Threads
    save_every: Count

    def __post_init__(self) -> None:
        from policy.probing.named import read_index  # numpy: not for --help

        for folder in (self.scenes, *([] if self.unseen is None else [self.unseen])):
            read_index(folder)
        if self.streams is not None:
            with about(f"streams={self.streams}"):
                streams_record(Path(self.streams))
