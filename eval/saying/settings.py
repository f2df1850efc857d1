"""Every choice of `eval.say`, checked before a simulator or torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from eval.options import Split, Task, Version
from policy.options import ChunkLength, Device, Inference
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OneOf, OutputFile, Range, Seed, Text
from whatwhere.options import options

MODES = ("page", "line")
Host = Annotated[str, Text("a name or an address", 255)]


@options
class Settings:
    """What `eval/conf/say.yaml` describes. Raises BadInput for values that cannot be."""

    checkpoint: InputPath | None
    task: Task | None
    version: Version | None
    split: Split | None
    policy: Annotated[str, OneOf("learned", "expert")]
    mode: Annotated[str, OneOf(MODES)]
    video: OutputFile | None
    seed: Seed
    first: Annotated[int, Range(0, 10_000_000)]
    execute: ChunkLength | None
    device: Device
    inference: Inference
    host: Host
    port: Annotated[int, Range(0, 65_535)]
    allow_hosts: Annotated[tuple[Host, ...], Length(0, 100)]

    def __post_init__(self) -> None:
        if self.task is None and (self.checkpoint is None or self.policy != "learned"):
            raise BadInput("task: missing; give checkpoint=NAME or task=pick_at_xy (or another one of docs/tasks.md)")
        if self.video is not None and self.mode != "line":
            raise BadInput(f"video={self.video}: is written with mode=line; add it, or leave video out")
        if self.video is not None and Path(self.video).suffix != ".mp4":
            raise BadInput(f"video={self.video}: needs a name that ends in .mp4")

    @property
    def evaluation(self) -> Any:
        """The same choices as those of an evaluation of one episode, which are checked and prepared as any other's."""
        from eval.playing.settings import Settings as Evaluation

        names = ("task", "checkpoint", "version", "split", "policy", "seed", "first", "execute", "device", "inference")
        none = {"encoder": None, "num_envs": None, "out": ".", "rendering": None, "perturbation": None, "size": None, "allow": ["training_start"]}
        chosen: dict[str, Any] = {name: getattr(self, name) for name in names} | none
        return Evaluation(episodes=1, video=0, trajectories=False, timeout_s=120.0, **chosen)
