"""Every choice of `python -m eval.gradients`, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.options import Device, Threads
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OutputFolder, Range, Seed, Text
from whatwhere.options import options


@options
class Settings:
    """What `eval/conf/gradients.yaml` describes."""

    checkpoints: Annotated[tuple[Annotated[str, Text("a checkpoint", 4096)], ...], Length(1, 20)]
    demos: InputPath | None
    num_demos: Annotated[int, Range(1, 10_000)]
    samples: Annotated[int, Range(1, 100_000)]
    begin: bool
    seed: Seed
    out: OutputFolder
    device: Device
    num_threads: Threads

    def __post_init__(self) -> None:
        if self.demos is None or not Path(self.demos).is_dir():
            raise BadInput(f"demos={self.demos}: no such folder; collect some with python -m envs.demos.collect")
