"""place_left_of: put the red cube to the left of the green one, left being left in the scene camera's picture."""

from __future__ import annotations

import numpy as np

from envs.success import distance_xy_m, is_at_height, is_beside, is_still, offset_along_m
from envs.tasks.table import GREEN, LEFT_WORLD, RED, REGION_Y_M, TABLE_TOP_M, Cube, TableTask

NEAR_M, FAR_M, ACROSS_M = 0.05, 0.12, 0.03
SPOT_M = 0.08
STILL_M_S, STILL_RAD_S = 0.01, 0.2
HEIGHT_TOLERANCE_M = 0.004


class PlaceLeftOf(TableTask):
    """Red cube A and green cube B, 4 cm each.

    Success: A at rest on the table, released, its centre within 3 cm of the line through B along the left axis and 5–12 cm to
    its left. `is_relation_correct`: A's centre is left of B's at all. Position error: A's centre to the spot 8 cm left of B.
    """

    version = "0"
    instruction = "put the red cube left of the green cube"
    equal_instruction = "put the cube {} left of the green cube"
    default_horizon = 120
    cubes = (Cube("target", 0.02, RED), Cube("reference", 0.02, GREEN))

    def is_allowed(self, start: dict[str, np.ndarray]) -> bool:
        """A is not within reach of the goal already, and the whole of the goal lies in the region."""
        target, reference = start["target"], start["reference"]
        room = reference[1] + FAR_M * LEFT_WORLD[1] >= REGION_Y_M[0]
        return room and not is_beside(target, reference, LEFT_WORLD, NEAR_M, FAR_M, ACROSS_M)

    def goals(self, start: dict[str, np.ndarray]) -> np.ndarray:
        return start["reference"][None] + SPOT_M * np.asarray(LEFT_WORLD)

    def is_success(self) -> bool:
        target = self.cube_pos_world("target")
        return (
            is_beside(target, self.cube_pos_world("reference"), LEFT_WORLD, NEAR_M, FAR_M, ACROSS_M)
            and is_at_height(target[2], TABLE_TOP_M + 0.02, HEIGHT_TOLERANCE_M)
            and is_still(self.cube_velocity("target"), STILL_M_S, STILL_RAD_S)
            and self.is_released("target")
        )

    def is_relation_correct(self) -> bool:
        along, _ = offset_along_m(self.cube_pos_world("target"), self.cube_pos_world("reference"), LEFT_WORLD)
        return along > 0

    def goal_pos_world(self) -> np.ndarray:
        """The spot 8 cm left of B, at the height of A's centre on the table."""
        goal = self.cube_pos_world("reference") + SPOT_M * np.asarray(LEFT_WORLD)
        goal[2] = TABLE_TOP_M + 0.02
        return goal

    def position_error_cm(self) -> float:
        return 100 * distance_xy_m(self.cube_pos_world("target"), self.goal_pos_world())

    def privileged(self) -> dict[str, np.ndarray]:
        return {**super().privileged(), "goal_pos_world": self.goal_pos_world()}
