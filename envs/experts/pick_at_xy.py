"""The scripted expert of pick_at_xy: over the target, down, close, up."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.arm import CLOSE, ArmExpert, command, turn
from envs.experts.grasp import grasp, is_held

LIFT_M = 0.05  # more than an action can ask for: full speed


class PickAtXYExpert(ArmExpert):
    """Grasps the red cube and goes straight up with it."""

    def act(self, info: dict[str, Any]) -> np.ndarray:
        if is_held(info):
            return command(info, np.array([0.0, 0.0, LIFT_M]), turn(info), CLOSE)
        return grasp(info)
