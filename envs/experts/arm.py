"""What the scripted arm experts share: turning a wish for the gripper's pose into an action, and how much noise it bears.

Every expert is a function of the present privileged state alone (phases follow from geometry and finger opening), so that a
policy that sees the state can imitate it. Metres, radians, world frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.noisy import NoisyExpert

STEP_M, STEP_RAD = 0.05, 0.5  # what an action of 1 asks for (robosuite's OSC_POSE)
GAIN = 3.0
TURN_GAIN = 1.5
OPEN, CLOSE = -1.0, 1.0

# The gripper pointing down with its fingers left and right of the cube (columns: its axes; it closes along x, z points out of the hand).
DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])

NOISE_TURN = 0.2  # turns get this share of the noise
NOISE_STILL = 0.4  # and everything this share where the expert hardly moves: off the way by centimetres, at the cube by millimetres


class ArmExpert(NoisyExpert):
    """`act` gives (7,): three displacements, three turns, gripper (> 0 closes). Noise is put on the arm's six numbers."""

    slip_reach = np.array([1, 1, 1, NOISE_TURN, NOISE_TURN, NOISE_TURN])

    def strength(self, action: np.ndarray) -> np.ndarray:
        speed = float(np.clip(np.abs(action[:3]).max(), NOISE_STILL, 1.0))
        return self.noise * speed * np.array([1, 1, 1, NOISE_TURN, NOISE_TURN, NOISE_TURN])


def command(info: dict[str, Any], displacement: np.ndarray, yaw: float, gripper: float) -> np.ndarray:
    """(7,): moves the gripper by `displacement` (3,), points it down turned by `yaw`, with `gripper` OPEN or CLOSE."""
    move = GAIN * np.asarray(displacement) / STEP_M
    move /= max(1.0, float(np.abs(move).max()))  # saturates along a straight line
    cos, sin = np.cos(yaw), np.sin(yaw)
    wanted = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ DOWN
    turn = TURN_GAIN * rotation_vector(wanted @ info["privileged/gripper_rot_world"].T) / STEP_RAD
    return np.concatenate([move, np.clip(turn, -1, 1), [gripper]])


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """Axis times angle (3,) of a rotation matrix of less than a half turn."""
    axis = 0.5 * np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine = float(np.linalg.norm(axis))
    angle = np.arctan2(sine, (np.trace(matrix) - 1) / 2)
    return axis * (angle / sine if sine > 1e-9 else 1.0)


def funnel(distance_m: float, free_m: float, slope: float, most_m: float) -> float:
    """Height to keep at a horizontal distance: none within `free_m`, rising by `slope`, `most_m` at most."""
    return float(np.clip(slope * (distance_m - free_m), 0.0, most_m))
