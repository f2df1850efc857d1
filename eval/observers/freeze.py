"""Counts how often nothing moves: a policy that stands still has usually learned to go on with what it was doing, which was nothing."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from eval.observers import Observer

STILL = 0.01  # rad or m that any joint or object may move and still count as standing (about 1 cm at the hand)
LEAST_S = 1.0


class FreezeObserver(Observer):
    """Adds `freezes`: how many times no joint and no object moved by more than `STILL` for at least `LEAST_S` before the episode ended.

    None where the state is not that of joints (gymnasium environments).
    """

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.freezes, self.is_still = 0, False
        self.window: deque[np.ndarray] = deque(maxlen=round(LEAST_S * env.control_hz) + 1)
        self.window.append(self._positions(env))

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        self.window.append(self._positions(env))
        was_still = self.is_still
        self.is_still = len(self.window) == self.window.maxlen and bool(np.ptp(self.window, axis=0).max() < STILL)
        self.freezes += self.is_still and not was_still  # a longer stand counts once

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        return {"freezes": int(self.freezes) if env.has_joints else None}

    def _positions(self, env: Any) -> np.ndarray:
        """The first half of the state's [qpos, qvel]: every joint, and the objects (of the last one perhaps not the whole quaternion)."""
        state = env.get_state()[1:]  # without the time
        return state[: (len(state) + 1) // 2]
