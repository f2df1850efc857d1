"""Policies that know nothing: the floor of every evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np


class ZeroPolicy:
    """Does nothing."""

    def __init__(self, action_dim: int) -> None:
        self.action_dim = action_dim

    def reset(self) -> None:
        """Nothing to forget."""

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return np.zeros(self.action_dim)

    def perturb(self, action: np.ndarray) -> np.ndarray:
        return action


class RandomPolicy:
    """Uniform actions, drawn anew at each step."""

    def __init__(self, action_dim: int, rng: np.random.Generator | None = None) -> None:
        self.action_dim = action_dim
        self.rng = rng or np.random.default_rng(0)

    def reset(self) -> None:
        """Goes on with its random numbers."""

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return self.rng.uniform(-1.0, 1.0, self.action_dim)

    def perturb(self, action: np.ndarray) -> np.ndarray:
        return action
