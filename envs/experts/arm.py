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
NOISE_STILL = 0.5  # and everything this share where the expert hardly moves: at the cube the hand wanders by as much as a policy errs there
LATE_STEPS = 12  # with noise, the fingers follow a change of mind up to so many steps late

ALIGNED_RAD = 0.4  # closing fingers turn a cube by so much; at 96 pixels a smaller turn can hardly be seen


class ArmExpert(NoisyExpert):
    """`act` gives (7,): three displacements, three turns, gripper (> 0 closes). Noise is put on the arm's six numbers, and it makes the gripper late.

    A policy that hesitates stands at the cube with open fingers, or holds it over its goal, and does not know that the time has come. Without lateness a
    demonstration passes there in a step or two; with it the hand stays a while, pushed about by noise, and every step says what is to be done.
    """

    slip_reach = np.array([1, 1, 1, NOISE_TURN, NOISE_TURN, NOISE_TURN])

    def reset(self) -> None:
        super().reset()
        self._told = self._done = self._wait = 0  # the gripper: what it was told, what it does, for how long it is late still

    def perturb(self, action: np.ndarray) -> np.ndarray:
        executed, gripper = super().perturb(action), float(action[-1])
        slips = executed[-1] != gripper
        if self.noise == 0 or slips:
            return executed
        told = int(np.sign(gripper))
        if told != self._told:
            changes = self._told != 0 and told != self._done
            self._told, self._wait = told, int(self.rng.integers(LATE_STEPS + 1)) if changes else 0
        if self._wait:
            self._wait -= 1
        else:
            self._done = told
        return np.append(executed[:-1], abs(gripper) * self._done)

    def strength(self, action: np.ndarray) -> np.ndarray:
        speed = float(np.clip(np.abs(action[:3]).max(), NOISE_STILL, 1.0))
        return self.noise * speed * np.array([1, 1, 1, NOISE_TURN, NOISE_TURN, NOISE_TURN])


def turn(info: dict[str, Any]) -> float:
    """The yaw (rad) to grasp the target at: its own, but for what closing fingers turn by themselves."""
    yaw = float(info["privileged/target_yaw"])
    return yaw - float(np.clip(yaw, -ALIGNED_RAD, ALIGNED_RAD))


def command(info: dict[str, Any], displacement: np.ndarray, yaw: float, gripper: float) -> np.ndarray:
    """(7,): moves the gripper by `displacement` (3,), points it down turned by `yaw`, with `gripper` OPEN or CLOSE."""
    move = GAIN * np.asarray(displacement) / STEP_M
    move[:2] /= max(1.0, float(np.abs(move[:2]).max()))  # saturates along a straight line over the table, and the way down is no reason to go there slower
    move[2] = np.clip(move[2], -1, 1)
    cos, sin = np.cos(yaw), np.sin(yaw)
    wanted = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ DOWN
    turned = TURN_GAIN * rotation_vector(wanted @ info["privileged/gripper_rot_world"].T) / STEP_RAD
    return np.concatenate([move, np.clip(turned, -1, 1), [gripper]])


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """Axis times angle (3,) of a rotation matrix of less than a half turn."""
    axis = 0.5 * np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine = float(np.linalg.norm(axis))
    angle = np.arctan2(sine, (np.trace(matrix) - 1) / 2)
    return axis * (angle / sine if sine > 1e-9 else 1.0)


def funnel(distance_m: float, free_m: float, slope: float, most_m: float) -> float:
    """Height to keep at a horizontal distance: none within `free_m`, rising by `slope`, `most_m` at most."""
    return float(np.clip(slope * (distance_m - free_m), 0.0, most_m))
