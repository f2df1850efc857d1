"""The options of `python -m envs.demos.play`, checked before a simulator is imported, and what lies in its folder because of them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from envs.catalogue import TASKS, VARIED, check_version
from envs.language.draws import NUM_THINGS
from envs.language.things import SPLITS
from envs.motion import motion_of
from envs.options import FramesApart, Motion, Pixels, Rendering, Speed, Split, Things, Version
from envs.seeds import DEMONSTRATIONS
from envs.variety import check_things
from whatwhere.errors import BadInput
from whatwhere.kinds import Length, OneOf, OutputFolder, Processes, Range, Share
from whatwhere.options import options
from whatwhere.versions import stamp

NUM_OBJECTS, NUM_ACTIONS = 3, 7


@options
class Settings:
    """What `envs/conf/play.yaml` describes."""

    out: OutputFolder
    clips: Annotated[int, Range(1, 10_000_000)]
    frames: Annotated[int, Range(2, 10_000)]
    stride: FramesApart
    seed: Annotated[int, Range(0, DEMONSTRATIONS.stop - 1, why="the others are for evaluation")]
    tasks: Annotated[tuple[Annotated[str, OneOf(TASKS, "all")], ...], Length(1, 100)]
    size: Pixels
    rendering: Rendering
    vary: Share
    num_workers: Processes
    version: Version = 0
    split: Split | None = None
    motion: Motion | None = None
    speed: Speed | None = None
    things: Things | None = None

    def __post_init__(self) -> None:
        for task in self.names:
            check_version(task, self.version, self.split)
            motion_of(task, self.motion, self.speed, self.version)
            check_things(task, self.things_of(task), self.version, self.motion)
        if self.things is not None and not any(map(self.things_of, self.names)):
            raise BadInput(f"things={self.things}: none of the tasks has a table; valid: {', '.join(VARIED)}")

    def things_of(self, task: str) -> str | None:
        """`things`, in tasks that have a table for them."""
        return self.things if task in VARIED else None

    @property
    def num_objects(self) -> int:
        return NUM_THINGS if self.version else NUM_OBJECTS

    @property
    def names(self) -> list[str]:
        return list(TASKS) if "all" in self.tasks else list(self.tasks)

    def content(self) -> dict[str, Any]:
        names = ("clips", "frames", "stride", "seed", "size", "rendering", "vary")
        named = {"version": self.version, "split": self.split or SPLITS[0]} if self.version else {}
        named |= {name: given for name in ("motion", "speed", "things") if (given := getattr(self, name)) is not None}
        return (
            {"kind": "play", "tasks": self.names}
            | {name: getattr(self, name) for name in names}
            | named
            | {name: stamp()[name] for name in ("mujoco", "robosuite")}
        )

    def arrays(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """{file without .npy: (shape, type)}."""
        one = (self.clips, self.frames)
        return {
            "frames": ((*one, self.size, self.size, 3), np.uint8),
            "labels/gripper_pos_world": ((*one, 3), np.float32),
            "labels/objects_pos_world": ((*one, self.num_objects, 3), np.float32),
            "labels/objects_pixel": ((*one, self.num_objects, 2), np.float32),
            "labels/actions": ((*one, self.stride, NUM_ACTIONS), np.float32),
        }
