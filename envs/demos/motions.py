"""What moves in play video: scripted and random motion, for pictures only. Robot frame as in `envs.tasks`: x ahead, y to its left, z up; metres."""

from __future__ import annotations

from typing import Any

import numpy as np

STEP_M = 0.05  # the way that a full arm action commands in one control step
LOW_M, HIGH_M = np.array([-0.22, -0.24, 0.83]), np.array([0.18, 0.24, 1.08])
ARRIVED_M = 0.02
PUSH_HEIGHT_M, BESIDE_M = 0.825, 0.09


class Walk:
    """A random walk of the action itself, smooth over about half a second; works for any robot."""

    def __init__(self, rng: np.random.Generator, num_actions: int) -> None:
        self.rng, self.value, self.scale = rng, rng.standard_normal(num_actions) * 0.5, rng.uniform(0.3, 1.2)

    def act(self, info: dict[str, Any]) -> np.ndarray:
        self.value = 0.9 * self.value + 0.43 * self.rng.standard_normal(len(self.value))
        return self.value * self.scale


class Still:
    """Nothing is commanded: what moves, moves by itself."""

    def __init__(self, rng: np.random.Generator, num_actions: int) -> None:
        self.action = np.zeros(num_actions)

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return self.action


class Visit:
    """From one random place over the table to the next, turning, with the fingers opening and closing."""

    def __init__(self, rng: np.random.Generator, num_actions: int) -> None:
        self.rng, self.speed = rng, rng.uniform(0.3, 1.0)
        self._choose()

    def _choose(self) -> None:
        self.place = self.rng.uniform(LOW_M, HIGH_M)
        self.turn, self.grip = self.rng.uniform(-0.2, 0.2, 3) * [0.3, 0.3, 1.0], self.rng.choice([-1.0, 1.0])

    def act(self, info: dict[str, Any]) -> np.ndarray:
        way = self.place - info["privileged/gripper_pos_world"]
        if np.linalg.norm(way) < ARRIVED_M or self.rng.random() < 0.03:
            self._choose()
        return np.concatenate([_towards(way, self.speed), self.turn, [self.grip]])


class Push:
    """With closed fingers down beside a cube and through its place, again and again."""

    def __init__(self, rng: np.random.Generator, num_actions: int) -> None:
        self.rng, self.speed, self.pushing, self.angle = rng, rng.uniform(0.3, 0.8), False, rng.uniform(0, 2 * np.pi)

    def act(self, info: dict[str, Any]) -> np.ndarray:
        cube, gripper = info["privileged/target_pos_world"], info["privileged/gripper_pos_world"]
        side = BESIDE_M * np.array([np.cos(self.angle), np.sin(self.angle)])
        goal = np.array([*(cube[:2] - side if self.pushing else cube[:2] + side), PUSH_HEIGHT_M])
        if not self.pushing and np.linalg.norm((gripper - goal)[:2]) > 0.03:
            goal[2] = 0.92  # over the others first
        if np.linalg.norm(gripper - goal) < ARRIVED_M or self.rng.random() < 0.02:
            self.pushing = not self.pushing
            self.angle = self.angle if self.pushing else self.rng.uniform(0, 2 * np.pi)
        return np.concatenate([_towards(goal - gripper, self.speed), np.zeros(3), [1.0]])


class Expert:
    """The task's own expert with much noise, that now and then lets go."""

    def __init__(self, rng: np.random.Generator, expert: Any) -> None:
        self.rng, self.expert, self.lets_go = rng, expert, 0
        expert.reset()

    def act(self, info: dict[str, Any]) -> np.ndarray:
        action = self.expert.perturb(np.clip(self.expert.act(info), -1, 1))
        self.lets_go = 8 if self.rng.random() < 0.01 else self.lets_go - 1
        if self.lets_go > 0 and len(action) == 7:
            action = np.append(action[:-1], -1.0)
        return action


def _towards(way: np.ndarray, speed: float) -> np.ndarray:
    return np.clip(way / STEP_M, -speed, speed)


MOTIONS = {"walk": Walk, "still": Still, "visit": Visit, "push": Push}  # and "expert", "fall", which need more than the state
SHARES = {"expert": 0.35, "visit": 0.25, "push": 0.2, "walk": 0.1, "fall": 0.07, "still": 0.03}
BASE_SHARES = {"expert": 0.5, "walk": 0.45, "still": 0.05}  # for a robot that has no arm to act with
