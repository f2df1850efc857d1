"""From anywhere above the table to the target between the closed fingers: the beginning of every arm expert."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.arm import CLOSE, DOWN, OPEN, command, funnel, rotation_vector

HOVER_M = 0.07  # at most this far above the target's centre while moving over to it: open fingers pass above cubes
FUNNEL_FREE_M, FUNNEL_SLOPE = 0.003, 3.0
TURN_AS_M = 0.06  # a radian of wrong yaw counts like so much distance
# when to begin to close: wider than where the funnel leads, so that height decides (see carry.py); it takes 8 steps: the last of the way down goes on meanwhile
NEAR_XY_M, NEAR_Z_M = 0.010, 0.015
KEEP_M = 0.02  # how far the target may be while closing goes on
OPEN_WIDTH_M = 0.072  # wider: the fingers have not begun to close
HELD_WIDTH_M = (0.030, 0.0435)  # opening with a 4 cm cube between the fingers


def offset(info: dict[str, Any]) -> np.ndarray:
    """(3,): from the gripper to the target."""
    return info["privileged/target_pos_world"] - info["privileged/gripper_pos_world"]


def is_held(info: dict[str, Any]) -> bool:
    """Whether the target is between fingers that have closed on it."""
    low, high = HELD_WIDTH_M
    return low < float(info["privileged/gripper_width_m"]) < high and float(np.abs(offset(info)).max()) < KEEP_M


def grasp(info: dict[str, Any]) -> np.ndarray:
    """(7,): above the target → down → close."""
    away, yaw = offset(info), float(info["privileged/target_yaw"])
    distance = float(np.linalg.norm(away[:2]))
    if float(info["privileged/gripper_width_m"]) > OPEN_WIDTH_M:
        closing = distance < NEAR_XY_M and abs(away[2]) < NEAR_Z_M
    else:
        closing = float(np.abs(away).max()) < KEEP_M
    height = funnel(distance + TURN_AS_M * abs(_yaw_error(info, yaw)), FUNNEL_FREE_M, FUNNEL_SLOPE, HOVER_M)
    return command(info, away + [0, 0, height], yaw, CLOSE if closing else OPEN)


def _yaw_error(info: dict[str, Any], yaw: float) -> float:
    cos, sin = np.cos(yaw), np.sin(yaw)
    wanted = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ DOWN
    return float(rotation_vector(wanted @ info["privileged/gripper_rot_world"].T)[2])
