"""One scripted expert a task, from privileged state, and policies that know nothing. Imports no simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from envs.experts.baselines import RandomPolicy, ZeroPolicy
from envs.experts.deaf import DeafExpert
from envs.experts.navigate_to import NavigateToExpert
from envs.experts.pick_at_xy import PickAtXYExpert
from envs.experts.place_left_of import PlaceLeftOfExpert
from envs.experts.stack_centered import StackCenteredExpert
from envs.foreign.names import check_place, imported
from whatwhere.errors import BadInput

__all__ = ["EXPERTS", "DeafExpert", "Expert", "RandomPolicy", "ZeroPolicy", "check_deaf", "check_expert", "expert_class"]


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


def check_expert(task: str, expert: str | None) -> None:
    """Raises BadInput unless somebody acts in `task`: `expert` (module:Class, made as those in `EXPERTS`), or else the one in `EXPERTS`."""
    if expert is not None:
        check_place(expert, "expert")
    elif task not in EXPERTS:
        raise BadInput(f"expert: none here for task={task}; give expert=module:Class (docs/own_task.md)")


def check_deaf(policy: str, version: int) -> None:
    """Raises BadInput for a policy that hears nothing where nothing is said that decides."""
    if policy == "deaf" and not version:
        raise BadInput("policy=deaf: takes things at random that an instruction does not name; version 0 of a task has one instruction; add version=1")


def expert_class(task: str, expert: str | None = None) -> Callable[..., Expert]:
    """The class that `check_expert` found. Imports the module that `expert` names."""
    check_expert(task, expert)
    return EXPERTS[task] if expert is None else imported(expert)
