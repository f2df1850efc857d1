"""Who plays: one thing after the other that nobody asked for, with whatever lies on the table; for models of what actions do (docs/planner.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.experts.arm import CLOSE, OPEN, command
from envs.experts.carry import CarryExpert
from envs.experts.grasp import grasp, is_held

PLAYED = ("pick_at_xy", "place_left_of", "stack_centered")  # tasks on a table
SHARES = {"carry": 0.5, "lift": 0.4, "visit": 0.1}
STEPS = {"carry": (35, 90), "lift": (30, 70), "visit": (6, 20)}  # how long it is at it, from … to: also too short, so that things are let go of in mid-air
KEEPS = 0.6  # chance that what it holds is what it goes on with
UPON = 0.3  # share of what is carried that is to be put upon another thing
LOW_M, HIGH_M = np.array([-0.20, -0.22, 0.84]), np.array([0.16, 0.22, 1.05])  # places that are visited and carried to; within reach, over the table
LIFTS_M = (0.03, 0.22)
HALF_M = 0.02  # of a thing of usual size
NOT_THINGS = ("gripper", "goal")


class PlayExpert(CarryExpert):
    """Grasps, lifts, carries, puts down, drops and visits, each a random thing at a random place for a random time, with noise and slips as every expert.

    Unlike an expert's, its actions follow from the state and from what it is at: a policy cannot imitate it, and is not meant to.
    """

    def reset(self) -> None:
        super().reset()
        self.left, self.thing = 0, ""

    def act(self, info: dict[str, Any]) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            self._choose(info)
        told = heard(info, self.thing) | {"privileged/goal_pos_world": self.place}
        if self.at == "carry":
            return super().act(told)
        if self.at == "visit":
            return command(told, self.place - info["privileged/gripper_pos_world"], self.yaw, self.grip)
        if is_held(told):
            return command(told, np.array([0.0, 0.0, self.place[2] - told["privileged/target_pos_world"][2]]), 0.0, CLOSE)
        return grasp(told)

    def _choose(self, info: dict[str, Any]) -> None:
        """What it is at next, with which thing, where and for how long."""
        places = things(info)
        names = list(places)
        self.at = str(self.rng.choice(list(SHARES), p=list(SHARES.values())))
        self.left = int(self.rng.integers(*STEPS[self.at]))
        if not (self.thing and is_held(heard(info, self.thing)) and self.rng.random() < KEEPS):
            self.thing = names[self.rng.integers(len(names))]
        self.yaw, self.grip = self.rng.uniform(-0.4, 0.4), float(self.rng.choice([OPEN, CLOSE]))
        self.place = self.rng.uniform(LOW_M, HIGH_M)
        lowest = min(float(place[2]) for place in places.values())  # where things lie that lie on the table
        if self.at == "lift":
            self.place[2] = lowest + self.rng.uniform(*LIFTS_M)
        elif self.at == "carry":
            others = [name for name in names if name != self.thing]
            self.place[2] = lowest
            if others and self.rng.random() < UPON:
                self.place = places[others[self.rng.integers(len(others))]] + [0, 0, 2 * HALF_M]


def heard(info: dict[str, Any], thing: str) -> dict[str, Any]:
    """`info` as it would be if this thing were meant."""
    named = {"privileged/target_pos_world": info[f"privileged/{thing}_pos_world"], "privileged/target_yaw": info.get(f"privileged/{thing}_yaw", np.array(0.0))}
    return {**info, **named}


def things(info: dict[str, Any]) -> dict[str, np.ndarray]:
    """Where each thing is that can be taken, (3,) m."""
    names = [name.removeprefix("privileged/").removesuffix("_pos_world") for name in info if name.startswith("privileged/") and name.endswith("_pos_world")]
    return {name: np.asarray(info[f"privileged/{name}_pos_world"]) for name in sorted(names) if name not in NOT_THINGS}
