"""Every choice of a pre-training run, checked before torch is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from policy.config import MOST_OF_STREAMS
from policy.options import Batch, Device, LearningRate, Precision, Threads, WeightDecay
from policy.pretrain.data_settings import DataSettings
from policy.pretrain.objective_settings import ObjectiveSettings
from policy.storage.stored import streams_record
from policy.stream_sizes import STEM_NAMES, check_sizes
from whatwhere.errors import BadInput, about
from whatwhere.kinds import Count, InputPath, OneOf, OutputFolder, Range, Seed, Share, Text
from whatwhere.options import options

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

LEARNT_BY_STREAMS = ("forecast", "dino", "both", "jepa")  # objectives that leave nothing to learn where streams are frozen
BYTES_A_WEIGHT = 16  # in fp32: itself, its gradient, and two averages of AdamW


@options
class Settings(DataSettings):
    """What `policy/conf/pretrain.yaml` describes."""

    objective: ObjectiveSettings
    out: OutputFolder
    init: InputPath | None
    frozen: bool
    preset: Annotated[str, Text("the name of a preset", 100)] | None
    steps: Count
    epochs: Annotated[float, Range(0, 1_000_000, above=True)] | None
    batch: Batch
    micro_batches: Batch | None
    lr: LearningRate
    weight_decay: WeightDecay
    warmup: Share
    seed: Seed
    static: Share
    max_gap: Annotated[int, Range(1, 10_000)]
    patch: Annotated[int, Range(1, MOST_OF_STREAMS["patch"])]
    dim: Annotated[int, Range(1, MOST_OF_STREAMS["dim"])]
    depth: Annotated[int, Range(1, MOST_OF_STREAMS["depth"])]
    heads: Annotated[int, Range(1, MOST_OF_STREAMS["heads"])]
    stem: Annotated[str, OneOf(STEM_NAMES)]
    validate_every: Annotated[int, Range(0, 10_000_000)]
    validate_batches: Annotated[int, Range(1, 10_000)]
    probe: InputPath | None
    probe_every: Count
    precision: Precision
    device: Device
    num_threads: Threads
    save_every: Count

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen and self.init is None:
            raise BadInput("frozen=true: needs init=FOLDER, the streams over which the rest is to learn")
        if self.frozen and self.objective.name in LEARNT_BY_STREAMS:
            raise BadInput(f"frozen=true: objective={self.objective.name} teaches streams; valid with: video_prediction, latent_diffusion")
        check_sizes(self.size or self.patch, self.patch, self.dim, self.depth, self.heads, self.stem)
        check_memory(self.dim, self.depth)
        if self.micro_batches is not None and self.batch % self.micro_batches:
            raise BadInput(f"micro_batches={self.micro_batches}: must divide batch={self.batch}")
        if self.probe is not None and not Path(self.probe).is_dir():
            raise BadInput(f"probe={self.probe}: no such folder; draw a task's scenes with python -m envs.demos.scenes")
        if self.init is not None and not Path(self.init).is_dir():
            raise BadInput(f"init={self.init}: no such folder; needs the streams of an earlier stage, OUT/streams/<digits>")
        if self.init is not None:
            with about(f"init={self.init}"):
                streams_record(Path(self.init))


def check_memory(dim: int, depth: int) -> None:
    """Raises BadInput for streams whose weights, with all that training keeps of each, are larger than this machine's memory."""
    needed = 2 * depth * 12 * dim**2 * BYTES_A_WEIGHT  # two streams; a block has 4 dim² weights in its attention and 8 dim² in its MLP
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise BadInput(f"dim={dim}, depth={depth}: weights that take {needed / 2**30:.0f} GiB in training; this machine has {there / 2**30:.0f} GiB")
