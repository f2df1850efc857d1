"""What an episode's decisions came from: the mean share of each camera, of proprio and of the instruction (policy.shares)."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.observers import Observer


class SharesObserver(Observer):
    """Adds `shares` to the row: by name, from 0 to 1. Each query is asked again without each of them."""

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.told: list[dict[str, float]] = []

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        if (told := policy.shares()) is not None:
            self.told.append(told)

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        return {"shares": {name: round(float(np.mean([told[name] for told in self.told])), 4) for name in self.told[0]}} if self.told else {}
