"""The options of `python -m envs.demos.scenes`, checked before a simulator is imported, and what its folders depend on."""

from __future__ import annotations

from typing import Annotated, Any

from envs.catalogue import check_version
from envs.language.grammar import words
from envs.language.things import COLOURS, OBJECTS, SPLITS
from envs.options import Pixels, Rendering, Split, Target, Version
from envs.seeds import PROBES
from whatwhere.errors import BadInput
from whatwhere.kinds import Length, OneOf, OutputFolder, Processes, Range
from whatwhere.options import options
from whatwhere.versions import stamp

TABLE_TASKS = ("pick_at_xy", "place_left_of", "stack_centered")
OTHERS = "the others are for play, demonstrations and evaluation"


@options
class Settings:
    """What `envs/conf/scenes.yaml` describes."""

    out: OutputFolder
    tasks: Annotated[tuple[Annotated[str, OneOf(TABLE_TASKS, "all")], ...], Length(1, 100)]
    scenes: Annotated[int, Range(1, 1_000_000)]
    held_out: Annotated[int, Range(1, 1_000_000)]
    seed: Annotated[int, Range(PROBES[0], PROBES[-2], why=OTHERS)]  # the held-out scenes are of the seed after
    distractors: bool
    size: Pixels
    rendering: Rendering
    num_workers: Processes
    version: Version = 0
    split: Split | None = None
    moving: bool = False
    targets: Annotated[tuple[Target, ...], Length(1, 100)] | None = None

    def __post_init__(self) -> None:
        for task in self.names:
            check_version(task, self.version, self.split)
        if self.version and not self.distractors:
            raise BadInput(f"distractors=false: in version {self.version} four things lie there, so that each can be told from the others; leave it out")
        if self.moving and not self.distractors:
            raise BadInput("distractors=false: with moving=true the question is also which object moves; leave it out")

        if self.targets and (self.version or self.moving):
            other = f"version={self.version}" if self.version else "moving=true"
            raise BadInput(f"targets=[{','.join(self.targets)}]: with {other} any of the things may be meant; leave one of the two out")

    @property
    def folders(self) -> list[tuple[str, str, str | None]]:
        """For each folder in `out` its name, its task and what is looked for there instead of the task's cube."""
        if self.targets is None:
            return [(task, task, None) for task in self.names]
        return [(f"{task}_{target}", task, target) for task in self.names for target in self.targets]

    @property
    def names(self) -> list[str]:
        return list(TABLE_TASKS) if "all" in self.tasks else list(self.tasks)

    def content(self, task: str, target: str | None = None) -> dict[str, Any]:
        names = ("scenes", "held_out", "seed", "distractors", "size", "rendering", *["moving"] * self.moving)
        named = {"version": self.version, "split": self.split or SPLITS[0], "colours": list(COLOURS), "shapes": list(OBJECTS)}
        named = named | words(TABLE_TASKS) if self.version else {}
        named |= {"target": target} if target else {}
        return (
            {"kind": "scenes", "task": task} | {name: getattr(self, name) for name in names} | named | {name: stamp()[name] for name in ("mujoco", "robosuite")}
        )
