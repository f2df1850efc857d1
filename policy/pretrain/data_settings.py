"""What of videos and pictures is learnt from: the options that pre-training and the autoencoder share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OneOf, OutputFolder, Range
from whatwhere.options import options


@options
class DataSettings:
    """What `open_footage` and `Clips` are told. Raises BadInput for values that cannot be, and where there is no such folder."""

    data: InputPath
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

    def __post_init__(self) -> None:
        if self.crop[0] > self.crop[1]:
            raise BadInput(f"crop={list(self.crop)}: needs two shares, from … to, such as [0.4,1.0]")
        check_data(self.data)


def check_data(data: str) -> None:
    """Raises BadInput where there is no folder."""
    if Path(data).is_file():
        raise BadInput(f"data={data}: is a file; give the folder that it lies in, or one that python -m envs.demos.play wrote")
    if not Path(data).is_dir():
        raise BadInput(f"data={data}: no such folder; make one with python -m envs.demos.play out={data}")
