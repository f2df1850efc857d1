"""Every choice of the measurement of desired changes, checked before torch is imported."""

from __future__ import annotations

from typing import Annotated

from policy.heads import WITH_PLANNER
from policy.options import Device, Threads
from policy.storage.decoder_files import streams_of_decoder
from policy.storage.stored import verify
from policy.training.inverse_files import has_planner, inverse_under
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
        for folder in self.checkpoint or ():
            stored = verify(folder)
            if not has_planner(stored.policy):
                raise BadInput(f"checkpoint={folder}: has no planner; needs a policy of head={WITH_PLANNER[0]}")
            inverse_under(stored, self.inverse)
            if self.decoder is not None:
                streams_of_decoder(self.decoder, stored.policy.size, stored.config.get("streams_sha256"))
        from envs.demos.episodes import episode_paths  # h5py: not for --help

        episode_paths(str(self.demos))
