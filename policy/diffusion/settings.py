"""Every choice of training an autoencoder, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.diffusion.needs import need_diffusers
from policy.options import Batch, Device, LearningRate, Precision, Threads, WeightDecay
from whatwhere.errors import BadInput
from whatwhere.kinds import Count, InputPath, Length, OneOf, OutputFolder, Range, Seed, Share
from whatwhere.options import options

GROUPS = 8  # of channels that are normalised together


@options
class Settings:
    """What `policy/conf/autoencoder.yaml` describes."""

    data: InputPath
    out: OutputFolder
    steps: Count
    batch: Batch
    lr: LearningRate
    weight_decay: WeightDecay
    warmup: Share
    seed: Seed
    channels: Annotated[int, Range(1, 64)]
    widths: Annotated[tuple[Annotated[int, Range(GROUPS, 1024)], ...], Length(1, 6)]
    kl: Annotated[float, Range(0, 1)]
    size: Annotated[int, Range(8, 1024)] | None
    crop: Annotated[tuple[Annotated[float, Range(0, 1, above=True)], ...], Length(2, 2)]
    stored_px: Annotated[int, Range(8, 4096)] | None
    fps: Annotated[float, Range(0, 1000, above=True)] | None
    image_folders: Annotated[str, OneOf("auto", "clip", "images")]
    white: Annotated[float, Range(0, 2**32, above=True)] | None
    cache: OutputFolder
    holdout: Annotated[float, Range(0, 1, below=True)]
    strict: bool
    loaders: Annotated[int, Range(0, 64)]
    precision: Precision
    device: Device
    num_threads: Threads
    save_every: Count

    def __post_init__(self) -> None:
        need_diffusers("policy.autoencoder")
        if self.crop[0] > self.crop[1]:
            raise BadInput(f"crop={list(self.crop)}: needs two shares, from … to, such as [0.4,1.0]")
        if any(width % GROUPS for width in self.widths):
            raise BadInput(f"widths={list(self.widths)}: must be multiples of {GROUPS}")
        if self.size is not None and self.size % 2 ** (len(self.widths) - 1):
            raise BadInput(f"size={self.size}: must be a multiple of {2 ** (len(self.widths) - 1)}, by which {len(self.widths)} widths divide it")
        if not Path(self.data).is_dir():
            raise BadInput(f"data={self.data}: no such folder; make one with python -m envs.demos.play out={self.data}")
