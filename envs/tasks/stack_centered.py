"""stack_centered: put the red cube on the middle of the green one."""

from __future__ import annotations

import numpy as np

from envs.success import distance_xy_m, is_at_height, is_still
from envs.tasks.table import GREEN, RED, TABLE_TOP_M, Cube, TableTask

CENTERED_M = 0.015
STILL_M_S, STILL_RAD_S = 0.01, 0.2
HEIGHT_TOLERANCE_M = 0.004


class StackCentered(TableTask):
    """Red cube A (4 cm) and green cube B (5 cm).

    Success: A rests on B, released, the centres at most 1.5 cm apart horizontally. Position error: the horizontal distance of
    the centres, wherever A is.
    """

    version = "0"
    instruction = "stack the red cube on the middle of the green cube"
    equal_instruction = "stack the cube {} on the middle of the green cube"
    default_horizon = 120
    cubes = (Cube("target", 0.02, RED), Cube("reference", 0.025, GREEN))

    def is_success(self) -> bool:
        target = self.cube_pos_world("target")
        return (
            self.position_error_cm() <= 100 * CENTERED_M
            and is_at_height(target[2], self.goal_pos_world()[2], HEIGHT_TOLERANCE_M)
            and is_at_height(self.cube_pos_world("reference")[2], TABLE_TOP_M + self.half_height_m("reference"), HEIGHT_TOLERANCE_M)
            and is_still(self.cube_velocity("target"), STILL_M_S, STILL_RAD_S)
            and self.is_released("target")
        )

    def goal_pos_world(self) -> np.ndarray:
        """Where A's centre is when it lies on the middle of B."""
        return self.cube_pos_world("reference") + [0, 0, self.half_height_m("reference") + self.half_height_m("target")]

    def position_error_cm(self) -> float:
        return 100 * distance_xy_m(self.cube_pos_world("target"), self.cube_pos_world("reference"))

    def privileged(self) -> dict[str, np.ndarray]:
        return {**super().privileged(), "goal_pos_world": self.goal_pos_world()}
