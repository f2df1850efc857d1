"""A user's module: robosuite environments that are nobody's but theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
from robosuite.environments.manipulation.lift import Lift
from robosuite.environments.manipulation.stack import Stack


class HoverCube(Lift):
    """Success: the gripper is within 10 cm of the cube's centre, horizontally."""

    version = "3"
    instruction = "bring the hand over the cube"
    default_horizon = 40
    default_cameras = ("frontview",)

    def _check_success(self) -> bool:
        return self.position_error_cm() < 4 and self.touched > 3

    def begin(self) -> None:
        self.touched = 0

    def _post_action(self, action: np.ndarray) -> Any:
        self.touched += 1
        self.sim.model.geom_rgba[self.sim.model.geom_name2id("cube_g0_vis")] = [0, 0.2 * min(self.touched, 5), 0, 1]  # changes its looks as it goes
        return super()._post_action(action)

    def position_error_cm(self) -> float:
        return 100 * float(np.linalg.norm((self.sim.data.site_xpos[self.robots[0].eef_site_id["right"]] - self.sim.data.body_xpos[self.cube_body_id])[:2]))


class OwnStep(Lift):
    def step(self, action: np.ndarray) -> Any:
        return super().step(action)


class Closed(Lift):
    def __init__(self, robots: str) -> None:
        super().__init__(robots)


class Odd(Stack):
    version = "two"


class Nothing:
    pass
