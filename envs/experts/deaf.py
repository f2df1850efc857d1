"""A policy that does not hear what is said: the task's expert, for things of the scene taken at random. What it reaches, a policy reaches without reading."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.language.draws import TWO_NAMED


class DeafExpert:
    """Acts as `expert` would if the instruction named other things of a start in version 1: any of them, each equally often."""

    def __init__(self, expert: Any, task: str, rng: np.random.Generator) -> None:
        self.expert, self.rng, self.named = expert, rng, 2 if task in TWO_NAMED else 1
        self._order: np.ndarray | None = None

    def reset(self) -> None:
        self.expert.reset()
        self._order = None

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return self.expert.act(self.heard(info))

    def perturb(self, action: np.ndarray) -> np.ndarray:
        return self.expert.perturb(action)

    def heard(self, info: dict[str, Any]) -> dict[str, Any]:
        """`info` as it would be if the things were meant that this episode's choice fell on."""
        names = sorted(name for name in info if name.startswith(("privileged/other_", "privileged/reference_")) and name.endswith("_pos_world"))
        things = ["privileged/target", *(name.removesuffix("_pos_world") for name in names)]
        if self._order is None:
            self._order = self.rng.permutation(len(things))
        target = things[self._order[0]]
        changed = {f"privileged/target{part}": info[f"{target}{part}"] for part in ("_pos_world", "_yaw") if f"privileged/target{part}" in info}
        if self.named == 2:
            moved = info[f"{things[self._order[1]]}_pos_world"] - info["privileged/reference_pos_world"]
            changed["privileged/goal_pos_world"] = info["privileged/goal_pos_world"] + moved
        return {**info, **changed}
