"""Every choice of a collection of demonstrations, checked before a simulator is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from envs.catalogue import check_version, told_version
from envs.experts import check_expert
from envs.experts.play import PLAYED
from envs.language.things import SPLITS
from envs.motion import motion_of, told
from envs.options import Expert, FramesApart, Horizon, Motion, Noise, Pixels, Rendering, Speed, Split, Task, Version
from envs.seeds import DEMONSTRATIONS, DEVELOPMENT
from envs.teleop import DEVICES
from whatwhere.errors import BadInput
from whatwhere.files import path_name
from whatwhere.kinds import InputPath, Length, OneOf, OutputFolder, Processes, Range, Share, Text
from whatwhere.options import options
from whatwhere.versions import stamp

SCRIPTED = ("expert", "play")  # sources that are no people
SOURCES = (*SCRIPTED, *DEVICES)
RECOVER = ("ask", "true", "false")
SLIPS = 0.02
SLIPS_OF = {"stack_centered": 0.04}  # a goal that the arm hides: what to do where a cube was carried the wrong way (docs/lab.md)
SEEDS = "demonstrations take seeds 0–99999 (with development=true also 100000–199999, not to train on); others are for evaluation"
Host = Annotated[str, Text("a name or an address", 255)]


@options
class Settings:
    """What `envs/conf/collect.yaml` describes. Raises BadInput for values that cannot be."""

    task: Task
    source: Annotated[str, OneOf(SOURCES)]
    n: Annotated[int, Range(1, 100_000)]
    seed: Annotated[int, Range(0, DEVELOPMENT.stop - 1, why=SEEDS)]
    noise: Noise
    slips: Share | None
    rendering: Rendering
    size: Pixels
    frame_gap: FramesApart
    horizon: Horizon | None
    num_workers: Processes
    development: bool
    out: OutputFolder | None
    commands: InputPath | None = None
    expert: Expert | None = None
    version: Version = 0
    split: Split | None = None
    motion: Motion | None = None
    speed: Speed | None = None
    idle: Annotated[int, Range(1, 100_000)] | None = 10
    recover: Annotated[str, OneOf(RECOVER)] = "ask"
    view: Annotated[int, Range(32, 480)] = 256
    host: Host = "127.0.0.1"
    port: Annotated[int, Range(0, 65_535)] = 8765
    allow_hosts: Annotated[tuple[Host, ...], Length(0, 100)] = ()

    def __post_init__(self) -> None:
        if self.source == "expert":
            check_expert(self.task, self.expert)
        if self.source == "play":
            if self.task not in PLAYED:
                raise BadInput(f"source=play: a hand plays with what lies on a table, which task={self.task} has not; valid: {', '.join(PLAYED)}")
            for name in ("expert", "motion"):
                if (value := getattr(self, name)) is not None:
                    raise BadInput(f"{name}={value}: is not for source=play; leave one of them out")
        check_version(self.task, self.version, self.split)
        motion_of(self.task, self.motion, self.speed, self.version)
        check_seed(self.seed, self.development)

    @property
    def environment(self) -> dict[str, Any]:
        """Arguments of `envs.make`, beside the task."""
        return {name: getattr(self, name) for name in ("rendering", "size", "frame_gap", "horizon", "motion", "speed", "version", "split")}

    @property
    def slipping(self) -> float:
        """The chance of a slip: what was asked for, or what demonstrations of the task are best made with."""
        return SLIPS_OF.get(self.task, SLIPS) if self.slips is None else self.slips

    @property
    def folder(self) -> Path:
        noise = f"-noise{self.noise:g}-slips{self.slipping:g}" if self.source in SCRIPTED else ""
        rarely = (f"-gap{self.frame_gap}" if self.frame_gap != 4 else "") + (f"-horizon{self.horizon}" if self.horizon else "")
        task = "-".join(filter(None, (path_name(self.task), told_version(self.version, self.split))))
        moves = f"-{path_name(told(motion))}" if (motion := motion_of(self.task, self.motion, self.speed)) else ""
        return Path(self.out or f"data/{task}/{self.source}-seed{self.seed}{noise}{moves}-{self.rendering}{self.size}{rarely}")

    def content(self) -> dict[str, Any]:
        """What the files depend on: all that must be the same for a run to continue in a folder."""
        names = ["task", "source", "seed", "noise", "slips", "rendering", "size", "frame_gap", "horizon"]
        if self.source not in SCRIPTED:
            names = [name for name in names if name not in ("noise", "slips")]  # people bring their own
        names += ["expert"] if self.expert is not None else []
        named = {"version": self.version, "split": self.split or SPLITS[0]} if self.version else {}
        motion = motion_of(self.task, self.motion, self.speed)
        chosen = {name: self.slipping if name == "slips" else getattr(self, name) for name in names} | (motion.record() if motion else {}) | named
        return {"kind": "demonstrations"} | chosen | {name: stamp()[name] for name in ("mujoco", "robosuite")}


def check_seed(seed: int, development: bool) -> None:
    """Raises BadInput unless demonstrations may start from `seed`."""
    if seed in DEMONSTRATIONS or (development and seed in DEVELOPMENT):
        return
    raise BadInput(f"seed={seed}: {SEEDS}")
