"""The scripted expert of navigate_to: turn towards the red pad and glide until the scored point is on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.motion import is_untold, velocity
from envs.experts.noisy import NoisyExpert

SCALE = np.array([0.7, 0.7, 1.2])  # what an action of 1 asks for: m/s forward, m/s left, rad/s (envs/tasks/navigate_to.py)
SCORED_AHEAD_M = 0.60
DRIVE_GAIN_1_S = 3.0
TURN_GAIN_1_S = 2.5
LEAD_S = 1 / DRIVE_GAIN_1_S  # by so much a base that follows lags behind

FULL_NOISE_FROM = 0.3  # where the expert asks for less than this share of full speed the noise fades: a base that is shaken cannot stand still


class NavigateToExpert(NoisyExpert):
    """Proportional in all three velocities; a smooth function of where the pad is, but for a pad exactly behind. noise=0.3 is 0.2 m/s."""

    noisy = 3
    memory = 0.8

    def __init__(self, noise: float = 0.0, rng: np.random.Generator | None = None, slips: float = 0.0) -> None:
        super().__init__(noise, rng, slips)
        self._fresh *= noise

    def act(self, info: dict[str, Any]) -> np.ndarray:
        """(3,) in [-1, 1]: forward, left, turn."""
        if is_untold(info):
            return np.zeros(3)
        x, y, heading = info["privileged/base_pose_world"]
        dx, dy = info["privileged/target_pos_world"][:2] + LEAD_S * velocity(info)[:2] - (x, y)
        distance, bearing = np.hypot(dx, dy), np.arctan2(dy, dx) - heading
        bearing = (bearing + np.pi) % (2 * np.pi) - np.pi
        # Drive only as far as the pad is ahead: backing towards a pad behind would hide it under the robot.
        ahead = max(0.0, np.cos(bearing)) ** 2
        error = np.array([distance * np.cos(bearing) - SCORED_AHEAD_M, distance * np.sin(bearing)])
        drive = DRIVE_GAIN_1_S * ahead * error / SCALE[:2]
        drive /= max(1.0, float(np.linalg.norm(drive)))  # at full speed, too, along a straight line
        return np.append(drive, np.clip(TURN_GAIN_1_S * bearing / SCALE[2], -1, 1))

    def strength(self, action: np.ndarray) -> float:
        return min(1.0, float(np.abs(action).max()) / FULL_NOISE_FROM)
