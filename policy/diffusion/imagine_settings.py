"""Every choice of the comparison of decoders, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.diffusion.needs import need_diffusers
from policy.options import Device, Threads
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, OutputFolder, Range, Seed
from whatwhere.options import options


@options
class Settings:
    """What `policy/conf/imagine.yaml` describes."""

    data: InputPath
    diffusion: InputPath | None
    decoder: InputPath | None
    streams: InputPath | None
    pairs: Annotated[int, Range(1, 4096)]
    max_gap: Annotated[int, Range(1, 10_000)]
    steps: Annotated[int, Range(1, 1000)]
    seed: Seed
    holdout: Annotated[float, Range(0, 1, below=True)]
    out: OutputFolder
    device: Device
    num_threads: Threads

    def __post_init__(self) -> None:
        if self.diffusion is None and self.decoder is None:
            raise BadInput("diffusion: missing; give diffusion=FOLDER, decoder=FOLDER or both")
        if self.diffusion is not None:
            need_diffusers(f"diffusion={self.diffusion}")
        if not Path(self.data).is_dir():
            raise BadInput(f"data={self.data}: no such folder; make one with python -m envs.demos.play out={self.data}")
