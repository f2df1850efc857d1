"""Grasp the target, carry it to `privileged/goal_pos_world`, put it down, let go.

When to let go is a matter of how much room there is. Where the goal is wide (`place_left_of`), `near_m` is wider than where the funnel's foot
leads, so that height alone decides: a policy knows its height to the millimetre, its place above a goal to half a centimetre. Where the goal is narrow
(`stack_centered`), it is let go where the funnel's foot begins: sooner made policies that carry less exactly, later ones wait to the end (docs/lab.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.arm import CLOSE, OPEN, ArmExpert, command, funnel, turn
from envs.experts.grasp import grasp, is_held

FUNNEL_SLOPE = 3.0
LETTING_GO_WIDTH_M = 0.048  # wider: the fingers have begun to open
AWAY_M = 0.05


class CarryExpert(ArmExpert):
    """`clearance_m`: how far above its goal the target travels within `obstacle_m` of it. `free_m`: the
    funnel's foot. `near_m`, `above_m`: when it is let go."""

    clearance_m = 0.06
    obstacle_m = 0.14
    free_m, near_m, above_m = 0.009, 0.009, 0.007
    placed_m = 0.014  # horizontal distance within which a target that was let go is left alone

    def act(self, info: dict[str, Any]) -> np.ndarray:
        away = info["privileged/goal_pos_world"] - info["privileged/target_pos_world"]  # what the target still has to travel
        distance = float(np.linalg.norm(away[:2]))
        let_go = float(info["privileged/gripper_width_m"]) > LETTING_GO_WIDTH_M
        if abs(away[2]) < self.above_m and distance < (self.placed_m if let_go else self.near_m):
            return command(info, np.array([0, 0, AWAY_M]) if let_go else away, turn(info), OPEN)
        if not is_held(info):
            return grasp(info)
        rise = away[2] + funnel(distance, self.free_m, FUNNEL_SLOPE, self.clearance_m)
        missing = rise - max(0.0, distance - self.obstacle_m)  # height that cannot be gained on the way
        free = float(np.clip(1 - missing / self.clearance_m, 0.0, 1.0))  # sideways only as far as it is high enough
        return command(info, np.array([free * away[0], free * away[1], rise]), turn(info), CLOSE)
