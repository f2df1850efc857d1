"""robosuite's own tasks: how long an episode may last, and where a position error can be told in a line. Imports no simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envs.success import distance_xy_m


@dataclass(frozen=True)
class Stock:
    """What robosuite does not say of a task: control steps at 20 Hz, and the position error in cm of its environment (None: it has none)."""

    horizon: int = 300
    position_error_cm: Callable[[Any], float] | None = None


def lift_error_cm(env: Any) -> float:
    """Horizontal distance of the gripper and the cube's centre."""
    return 100 * distance_xy_m(env.sim.data.site_xpos[env.robots[0].eef_site_id[env.robots[0].arms[0]]], env.sim.data.body_xpos[env.cube_body_id])


def stack_error_cm(env: Any) -> float:
    """Horizontal distance of the two cubes' centres."""
    return 100 * distance_xy_m(env.sim.data.body_xpos[env.cubeA_body_id], env.sim.data.body_xpos[env.cubeB_body_id])


STOCK: dict[str, Stock] = {
    "Door": Stock(),
    "Lift": Stock(100, lift_error_cm),
    "NutAssembly": Stock(600),
    "NutAssemblyRound": Stock(),
    "NutAssemblySingle": Stock(),
    "NutAssemblySquare": Stock(),
    "PickPlace": Stock(1000),
    "PickPlaceBread": Stock(),
    "PickPlaceCan": Stock(),
    "PickPlaceCereal": Stock(),
    "PickPlaceMilk": Stock(),
    "PickPlaceSingle": Stock(),
    "Stack": Stock(150, stack_error_cm),
    "ToolHang": Stock(600),
    "TwoArmHandover": Stock(),
    "TwoArmLift": Stock(),
    "TwoArmPegInHole": Stock(),
    "TwoArmTransport": Stock(600),
    "Wipe": Stock(),
}
