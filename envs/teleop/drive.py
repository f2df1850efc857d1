"""From what the operator wants to the action of a task."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from envs.teleop.device import Command, clipped
from whatwhere.errors import BadInput

# The scene camera of the table tasks faces the robot, whose axes are x away from it, y to its left, z up: columns are right, away and up in the picture.
PICTURE_TO_ROBOT = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
TURN_SHARE = 0.5  # of what an action of 1 turns; that is too fast for a hand


class Drive(Protocol):
    """How a task's robot is driven."""

    mobile: bool  # whether "drive" changes between arm and base
    drives: str  # what moves now, arm or base

    def begin(self) -> None:
        """A new episode."""

    def switch(self) -> None:
        """From arm to base or back."""

    def action(self, command: Command, closed: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """The action (a,) float32 in [−1, 1] and, where an arm that the action does not reach was moved, the goal it holds from now on (8,)."""
        ...


class ArmDrive:
    """An arm under OSC_POSE: three displacements, three turns, gripper (> 0 closes)."""

    mobile, drives = False, "arm"

    def begin(self) -> None: ...

    def switch(self) -> None: ...

    def action(self, command: Command, closed: bool) -> tuple[np.ndarray, np.ndarray | None]:
        if command.action is not None:
            return clipped(command.action), None
        move = PICTURE_TO_ROBOT @ np.array(command.move)
        turn = TURN_SHARE * PICTURE_TO_ROBOT @ np.array(command.turn)
        return clipped(np.concatenate([command.speed * move, command.speed * turn, [1.0 if closed else -1.0]])), None


def drive_for(env: Any) -> Drive:
    """How `env` (a TaskEnv) is driven. Raises BadInput for actions of another kind."""
    if hasattr(env.simulation, "hold"):
        from envs.teleop.mobile import MobileDrive

        return MobileDrive(env)
    if env.action_dim == 7:
        return ArmDrive()
    raise BadInput(f"task={env.task}: teleoperation drives arms of 7 numbers (3 moves, 3 turns, gripper) and navigate_to; its actions have {env.action_dim}")
