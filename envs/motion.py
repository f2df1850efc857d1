"""Things that move by themselves, as an option of this package's tasks: which kind, and how fast. Imports no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from whatwhere.errors import BadInput, choose, shown

# The target drifts; one of three equal things drifts, or was moved at the start; all that is on the table travels; the target is pushed when the robot is near.
MOTIONS = ("moving", "which", "was_moved", "conveyor", "nudged")
STILL = "still"  # what no motion is called
TABLE, FLOOR = ("pick_at_xy", "place_left_of", "stack_centered"), ("navigate_to",)
SPEEDS = dict.fromkeys(TABLE, (4.0, 8.0)) | dict.fromkeys(FLOOR, (20.0, 40.0))  # cm/s; on the floor a picture shows ten times as much
FASTEST = dict.fromkeys(TABLE, 30.0) | dict.fromkeys(FLOOR, 60.0)  # cm/s; the base drives at 70


@dataclass(frozen=True)
class Motion:
    """What moves, and between which speeds (cm/s) an episode's own is drawn; None for a push, which is as fast as it is far."""

    kind: str
    speed: tuple[float, float] | None

    def record(self) -> dict[str, Any]:
        """For settings, rows and files."""
        return {"motion": self.kind} | ({"speed": list(self.speed)} if self.speed else {})


def motion_of(task: str, motion: str | None, speed: Sequence[float] | None, version: int = 0) -> Motion | None:
    """What `motion=` and `speed=` ask of `task`; None if nothing is to move. Raises BadInput for what the task has not."""
    if motion is None:
        if speed is not None:
            raise BadInput(f"speed={shown(list(speed))}: is that of a motion; add motion= (moving, which, was_moved, conveyor)")
        return None
    choose("motion", motion, MOTIONS)
    if task not in SPEEDS:
        raise BadInput(f"motion={motion}: nothing moves by itself in task={task}; valid: {', '.join(SPEEDS)}")
    if version:
        raise BadInput(f"motion={motion}: nothing moves by itself in version {version} of a task; leave one of the two out")
    if motion == "conveyor" and task in FLOOR:
        raise BadInput(f"motion=conveyor: is that of a table, which task={task} has not; valid for it: {', '.join(kind for kind in MOTIONS if kind != motion)}")
    if motion == "nudged":
        if speed is not None:
            raise BadInput(f"speed={shown(list(speed))}: a nudge has none of its own; leave it out with motion=nudged")
        return Motion(motion, None)
    slowest, fastest = map(float, speed if speed is not None else SPEEDS[task])
    if not 1.0 <= slowest <= fastest <= FASTEST[task]:
        raise BadInput(f"speed=[{slowest:g},{fastest:g}]: needs slowest and fastest in cm/s, from 1 to {FASTEST[task]:g} in task={task}")
    return Motion(motion, (slowest, fastest))


def told(motion: Motion | None) -> str:
    """`still`, `moving 4-8 cm/s`, `nudged`: for names of files and for tables."""
    if motion is None:
        return STILL
    return motion.kind if motion.speed is None else f"{motion.kind} {motion.speed[0]:g}-{motion.speed[1]:g} cm/s"


def played(task: str, motion: str | None, speed: Sequence[float] | None, trained: Motion | None, version: int = 0) -> Motion | None:
    """What moves in an evaluation: what moved in the training of the policy, as far as nothing else is asked for. Raises BadInput."""
    kind = motion or (trained.kind if trained else STILL)
    if speed is None and trained is not None and trained.kind == kind:
        speed = trained.speed
    return motion_of(task, None if kind == STILL else kind, speed, version)


def recorded(settings: dict[str, Any]) -> dict[str, Any]:
    """`motion` and `speed` as arguments of `envs.make`, of what a demonstration or a training says of itself."""
    return {name: settings[name] for name in ("motion", "speed") if settings.get(name) is not None}
