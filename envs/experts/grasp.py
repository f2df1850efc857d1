"""From anywhere above the table to the target between the closed fingers: the beginning of every arm expert.

It asks only for what a policy can see. Height and the opening of the fingers are in proprio, to the millimetre, so they decide; the place of the target
is seen to 3–5 mm, so no edge is narrower than that: the funnel's foot is as wide, and closing is right wherever the funnel has led low enough. The target's
turn is left to the fingers (`envs.experts.arm.turn`). What each of these edges does to policies: docs/lab.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.arm import CLOSE, OPEN, command, funnel, turn
from envs.experts.motion import is_untold, velocity

HOVER_M = 0.07  # at most this far above the target's centre while moving over to it: open fingers pass above cubes
FUNNEL_FREE_M, FUNNEL_SLOPE = 0.005, 3.0
SLOW_M, SLOWLY = 0.030, 0.5  # so far above the place where it is grasped the hand goes down half as fast: time to get straight above it
# Of the target's centre: where it is grasped. Policies begin to close up to 1 cm higher than the expert, and the cube ends 2 cm above its centre;
# 1.1 cm below the centre fingers jam on the table and cannot close.
ABOVE_M = 0.001
NEAR_XY_M, NEAR_Z_M = 0.010, 0.006  # when to begin to close: wider than where the funnel leads, so that height decides
KEEP_XY_M, KEEP_Z_M = 0.022, 0.020  # how far the target may be while closing goes on, and while it counts as held
OPEN_WIDTH_M = 0.072  # wider: the fingers have not begun to close
EMPTY_WIDTH_M = 0.030  # narrower: there is nothing between them
HELD_WIDTH_M = 0.047  # narrower: they have closed on a cube of 4 cm, which may still lie turned between them (45 mm)


LEAD_S = 0.06  # by so much a hand that follows lags behind


def offset(info: dict[str, Any]) -> np.ndarray:
    """(3,): from the gripper to the target."""
    return info["privileged/target_pos_world"] - info["privileged/gripper_pos_world"]


def lead(info: dict[str, Any]) -> np.ndarray:
    """(3,): what is to be added to a displacement, so that a hand above a target that moves by itself stays above it."""
    return LEAD_S * velocity(info)


def wait(info: dict[str, Any]) -> np.ndarray:
    """(7,): towards the middle of the equal things, high enough to be over none of them too soon."""
    places = [info["privileged/target_pos_world"], *(info[f"privileged/twin_{number}_pos_world"] for number in (1, 2))]
    away = np.mean(places, axis=0) + [0, 0, ABOVE_M + HOVER_M] - info["privileged/gripper_pos_world"]
    return command(info, away, 0.0, OPEN)


def is_held(info: dict[str, Any]) -> bool:
    """Whether the target is between fingers that have closed on it."""
    return EMPTY_WIDTH_M < float(info["privileged/gripper_width_m"]) < HELD_WIDTH_M and _within(offset(info))


def grasp(info: dict[str, Any]) -> np.ndarray:
    """(7,): above the target → down → close; from a hand closed on nothing first of all up, opening."""
    if is_untold(info):
        return wait(info)
    away, width = offset(info) + [0, 0, ABOVE_M], float(info["privileged/gripper_width_m"])
    if width < EMPTY_WIDTH_M:
        return command(info, np.array([0, 0, max(0.0, away[2] + HOVER_M)]), turn(info), OPEN)
    distance = float(np.linalg.norm(away[:2]))
    begins = distance < NEAR_XY_M and away[2] > -NEAR_Z_M
    closing = begins if width > OPEN_WIDTH_M else _within(away)
    if closing:  # at that height: a finger that touches the target first moves it, and it is not to be left for that
        return command(info, away + lead(info), turn(info), CLOSE)
    away[2] += funnel(distance, FUNNEL_FREE_M, FUNNEL_SLOPE, HOVER_M)
    return command(info, away * [1, 1, SLOWLY if -SLOW_M < away[2] < 0 else 1] + lead(info), turn(info), OPEN)


def _within(away: np.ndarray) -> bool:
    return float(np.linalg.norm(away[:2])) < KEEP_XY_M and abs(float(away[2])) < KEEP_Z_M
