"""Every choice of the measurement of inverse dynamics, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.options import Batch, Device, HeldOutShare, LearningRate, Precision, Threads
from whatwhere.errors import BadInput
from whatwhere.kinds import Count, InputPath, OutputFolder, Range, Seed
from whatwhere.options import options


@options
class Settings:
    """What `policy/conf/inverse_dynamics.yaml` describes."""

    streams: InputPath | None
    data: InputPath
    out: OutputFolder
    gap: Annotated[int, Range(1, 10_000)]
    samples: Count
    steps: Count
    batch: Batch
    lr: LearningRate
    seed: Seed
    holdout: HeldOutShare
    precision: Precision
    device: Device
    num_threads: Threads

    def __post_init__(self) -> None:
        if self.streams is None or not Path(self.streams).is_dir():
            raise BadInput(f"streams={self.streams}: needs the folder of pre-trained streams, OUT/streams/<digits> of python -m policy.pretrain")
        if not (Path(self.data) / "labels" / "actions.npy").is_file():
            raise BadInput(f"data={self.data}: needs play with labels/actions.npy; make it with python -m envs.demos.play out={self.data}")
