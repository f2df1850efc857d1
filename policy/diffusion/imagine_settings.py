"""Every choice of the comparison of decoders, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.diffusion.needs import need_diffusers
from policy.options import Device, Threads
from policy.pretrain.data_settings import check_data
from policy.storage.picture_tool import DECODER, DIFFUSION, tool_folder
from policy.storage.stored import default_streams, streams_record
from policy.storage.tensorfile import CONFIG
from whatwhere.errors import BadInput
from whatwhere.files import read_json
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
        check_data(self.data)
        if self.diffusion is not None:
            need_diffusers(f"diffusion={self.diffusion}")
        folder = default_streams() if self.streams is None else Path(self.streams)
        streams = streams_record(folder)
        for tool, given in ((DIFFUSION, self.diffusion), (DECODER, self.decoder)):
            if given is not None:
                found = read_json(tool_folder(given, tool, tool.name) / CONFIG)
                if (found.get("streams_sha256"), found.get("size")) != (streams["sha256"], streams["size"]):
                    learnt = f"{found.get('streams_sha256')!s:.16} of {found.get('size')} px"
                    raise BadInput(f"{tool.name}={given}: learnt over streams {learnt}, not over those of {folder}; give streams=OUT/streams/<digits>")
