"""What the scripted arm experts share: turning a wish for the gripper's pose into an action, and noise on what is executed.

Every expert is a function of the present privileged state alone (phases follow from geometry and finger opening), so that a
policy that sees the state can imitate it. Metres, radians, world frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STEP_M, STEP_RAD = 0.05, 0.5  # what an action of 1 asks for (robosuite's OSC_POSE)
GAIN = 3.0
TURN_GAIN = 1.5
OPEN, CLOSE = -1.0, 1.0

# The gripper pointing down with its fingers left and right of the cube (columns: its axes; it closes along x, z points out of the hand).
DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])

NOISE_MEMORY = 0.7  # correlation of the noise from one step to the next: it pushes away instead of shaking
NOISE_TURN = 0.2  # turns get this share of the noise
NOISE_STILL = 0.4  # and everything this share where the expert hardly moves: off the way by centimetres, at the cube by millimetres


class ArmExpert:
    """`act` gives the corrective action, `perturb` what is to be executed: the same, with noise on the arm's six numbers.

    noise: standard deviation in units of the action at full speed, 0.3 being a good dose for demonstrations.
    """

    def __init__(self, noise: float = 0.0, rng: np.random.Generator | None = None) -> None:
        if noise < 0:
            raise ValueError(f"noise={noise}: must be at least 0")
        self.noise = noise
        self.rng = rng or np.random.default_rng(0)
        self.reset()

    def reset(self) -> None:
        """Forgets the noise of the episode before."""
        self._push = np.zeros(6)

    def act(self, info: dict[str, Any]) -> np.ndarray:
        """(7,) in [−1, 1]: three displacements, three turns, gripper (> 0 closes)."""
        raise NotImplementedError

    def perturb(self, action: np.ndarray) -> np.ndarray:
        """The action to execute; the gripper's number is left alone."""
        if self.noise == 0:
            return action
        fresh = np.sqrt(1 - NOISE_MEMORY**2) * self.rng.standard_normal(6)
        self._push = NOISE_MEMORY * self._push + fresh
        speed = float(np.clip(np.abs(action[:3]).max(), NOISE_STILL, 1.0))
        scale = self.noise * speed * np.array([1, 1, 1, NOISE_TURN, NOISE_TURN, NOISE_TURN])
        return np.append(np.clip(action[:6] + scale * self._push, -1, 1), action[6])


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
