"""One scripted expert a task, from privileged state, and policies that know nothing."""

from __future__ import annotations

from typing import Any

from envs.experts.baselines import RandomPolicy, ZeroPolicy
from envs.experts.navigate_to import NavigateToExpert
from envs.experts.pick_at_xy import PickAtXYExpert
from envs.experts.place_left_of import PlaceLeftOfExpert
from envs.experts.stack_centered import StackCenteredExpert

__all__ = ["EXPERTS", "RandomPolicy", "ZeroPolicy"]

EXPERTS: dict[str, Any] = {
    "pick_at_xy": PickAtXYExpert,
    "place_left_of": PlaceLeftOfExpert,
    "stack_centered": StackCenteredExpert,
    "navigate_to": NavigateToExpert,
}
