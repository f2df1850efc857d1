"""One scripted expert a task, from privileged state, and policies that know nothing. Imports no simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from envs.experts.baselines import RandomPolicy, ZeroPolicy
from envs.experts.navigate_to import NavigateToExpert
from envs.experts.pick_at_xy import PickAtXYExpert
from envs.experts.place_left_of import PlaceLeftOfExpert
from envs.experts.stack_centered import StackCenteredExpert

__all__ = ["EXPERTS", "Expert", "RandomPolicy", "ZeroPolicy"]


class Expert(Protocol):
    """What acts from `info`; made as `EXPERTS[task](noise=…, rng=…)`."""

    def reset(self) -> None:
        """To be called at the start of an episode."""

    def act(self, info: dict[str, Any]) -> np.ndarray:
        """The corrective action (a,) in [−1, 1], a function of the present privileged state: what is recorded."""
        ...

    def perturb(self, action: np.ndarray) -> np.ndarray:
        """The action to execute: the same, or with noise."""
        ...


EXPERTS: dict[str, Callable[..., Expert]] = {
    "pick_at_xy": PickAtXYExpert,
    "place_left_of": PlaceLeftOfExpert,
    "stack_centered": StackCenteredExpert,
    "navigate_to": NavigateToExpert,
}
