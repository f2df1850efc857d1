"""Subscribers of the rollout: they watch an episode and add to its row; none changes what happens in it."""

from __future__ import annotations

from typing import Any

import numpy as np


class Observer:
    """What the rollout tells its subscribers, in this order: begin, then query and step as they happen, then end. Override what you need."""

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        """After the reset; `row` has the start (task, version, seed, episode, init_hash, target_xy_m)."""

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        """After the policy was asked with `obs` and answered `actions` (k, a), before they are carried out."""

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        """After each control step."""

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        """At the episode's end, `row` complete but for wall_s. Returns what to add to the row."""
        return {}
