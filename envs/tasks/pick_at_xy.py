"""pick_at_xy: pick up the red cube, closing the gripper at the right place."""

from __future__ import annotations

import numpy as np

from envs.success import distance_xy_m, is_lifted
from envs.tasks.table import BLUE, GREEN, RED, TABLE_TOP_M, Cube, TableTask

LIFT_M = 0.05
LIFTED_STEPS = 5
GRASP_ERROR_CM = 2.0


class PickAtXY(TableTask):
    """Red target cube and two distractors, 4 cm each.

    Success: the target was at least 5 cm above its place on the table for 5 control steps in a row, and the gripper was
    within 2 cm of its centre, horizontally, when it was first told to close. Position error: that distance (the present
    distance as long as there was no such command).
    """

    version = "0"
    instruction = "pick up the red cube"
    equal_instruction = "pick up the cube {}"
    default_horizon = 75
    cubes = (Cube("target", 0.02, RED), Cube("distractor_green", 0.02, GREEN), Cube("distractor_blue", 0.02, BLUE))

    def begin(self) -> None:
        super().begin()
        self._lifted_steps = 0
        self._closing_error_cm: float | None = None
        self._present_error_cm = self._distance_cm()

    def after_step(self, action: np.ndarray) -> None:
        if self._closing_error_cm is None and action[-1] > 0:
            self._closing_error_cm = self._present_error_cm  # where the gripper was when the command came
        self._present_error_cm = self._distance_cm()
        lifted = is_lifted(self.cube_pos_world("target")[2], TABLE_TOP_M + 0.02, LIFT_M)
        self._lifted_steps = self._lifted_steps + 1 if lifted else 0

    def is_success(self) -> bool:
        return self._lifted_steps >= LIFTED_STEPS and self._closing_error_cm is not None and self._closing_error_cm <= GRASP_ERROR_CM

    def position_error_cm(self) -> float:
        return self._present_error_cm if self._closing_error_cm is None else self._closing_error_cm

    def _distance_cm(self) -> float:
        return 100 * distance_xy_m(self.gripper_pos_world(), self.cube_pos_world("target"))
