"""Every choice of the measurement of desired changes, checked before torch is imported."""

from __future__ import annotations

from typing import Annotated

from policy.options import Device, Threads
from whatwhere.errors import BadInput
from whatwhere.kinds import Count, InputPath, Length, OutputFolder
from whatwhere.options import options


@options
class Settings:
    """What `policy/conf/desired.yaml` describes."""

    checkpoint: Annotated[tuple[InputPath, ...], Length(1, 100)] | None
    inverse: InputPath | None
    demos: InputPath | None
    held_out: Count
    decoder: InputPath | None
    out: OutputFolder
    device: Device
    num_threads: Threads

    def __post_init__(self) -> None:
        for name in ("checkpoint", "demos"):
            if getattr(self, name) is None:
                raise BadInput(f"{name}: missing; give {name}=FOLDER")
