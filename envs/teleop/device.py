"""What a device says in a control step, what it is told, and what every device can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

BUTTONS = ("start", "save", "discard", "undo", "gripper", "drive", "quit")
Triple = tuple[float, float, float]
STILL: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Command:
    """What the operator wants in one control step, in the axes of the scene camera's picture (of the robot itself where the cameras ride on it).

    move: right, away, up, each in [−1, 1]; turn: about these three axes, by the right hand; speed: what 1 means, as a share of full speed;
    buttons: those pressed since the last step, of BUTTONS; action: an action of the task (a,), in place of move and turn;
    present: False where nobody is there (page hidden or gone): the arm stops.
    """

    move: Triple = STILL
    turn: Triple = STILL
    speed: float = 0.4
    buttons: tuple[str, ...] = ()
    action: np.ndarray | None = None
    arm_goal: np.ndarray | None = None  # with `action`, on a mobile robot: the pose that arm and gripper are to hold from this step on
    present: bool = True

    @property
    def is_still(self) -> bool:
        """Whether no motion is asked for."""
        return self.action is None and not any(self.move) and not any(self.turn)


ABSENT = Command(present=False)


def clipped(action: np.ndarray) -> np.ndarray:
    """An action (a,) as a task takes it: float32 in [−1, 1]."""
    return np.clip(np.asarray(action, np.float64), -1, 1).astype(np.float32)


@dataclass(frozen=True)
class Status:
    """What the operator is to know."""

    state: str = "ready"  # ready, recording, review, offer (of an unfinished episode), done
    message: str = ""
    problem: bool = False  # whether the message is about something that went wrong
    task: str = ""
    instruction: str = ""
    success: bool = False
    error_cm: float | None = None
    steps: int = 0
    horizon: int = 0
    start: int | None = None  # number of the start
    saved: int = 0
    wanted: int = 0
    failed: int = 0
    closed: bool = False  # the gripper's command
    drives: str = "arm"  # what moves: arm or base
    mobile: bool = False  # whether both can be driven
    waiting: bool = False  # the simulation stands still until something is asked for
    rate: dict[str, float] = field(default_factory=dict)  # hz, late, longest_ms


class Device(Protocol):
    """Made as `device_class(source)(options)` before the environment is, so that bad input is told early."""

    paced: bool  # whether time runs as for a person: 20 control steps a second
    asks: bool  # whether it can be asked about an unfinished episode

    def open(self, env: Any) -> None:
        """Called once, when the environment is there. Raises BadInput where the device is not."""

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        """A start is before the operator; "skip" if this device has nothing for it, "end" if nothing for any later one either."""
        ...

    def read(self) -> Command:
        """The command for the coming step; never waits."""
        ...

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        """`pictures`: those drawn since the last call, by camera, uint8 (h, w, 3)."""

    def close(self) -> None: ...
