"""Every choice of `python -m eval.gradients`, checked before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from policy.options import Device, Threads
from policy.storage.stored import verify
from whatwhere.counted import counted
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
        if self.demos is None:
            raise BadInput("demos: missing; give demos=FOLDER")
        if not Path(self.demos).is_dir():
            raise BadInput(f"demos={self.demos}: no such folder; collect some with python -m envs.demos.collect")
        from envs.demos.episodes import episode_paths  # h5py: not for --help

        if (found := len(episode_paths(self.demos))) < self.num_demos:
            raise BadInput(f"demos={self.demos}: holds {counted(found, 'episode')}, num_demos={self.num_demos} asks for more; collect more or lower it")
        for name in self.checkpoints:
            if not (policy := verify(name).policy).uses_streams:
                raise BadInput(f"checkpoints={name}: encoder={policy.encoder} has no streams, so no patches of M and P")
