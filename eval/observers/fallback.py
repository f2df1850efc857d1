"""What a policy fell back to in an episode, for its row (policy.fallback)."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.observers import Observer


class FallbackObserver(Observer):
    """Adds to the row, where there was a fallback: `fallback_step` (the first control step of it), `fallback_why`, `fallback_did` (hold or other_camera) and
    `fallback_end` (whether it lasted to the end)."""

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.first: Any = None
        self.now: Any = None

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        self.now = policy.fallen()
        self.first = self.first or self.now

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        if self.first is None:
            return {}
        first = {"fallback_step": self.first.step, "fallback_why": self.first.why, "fallback_did": self.first.did}
        return first | {"fallback_end": self.now is not None}
