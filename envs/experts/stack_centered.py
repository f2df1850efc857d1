"""The scripted expert of stack_centered."""

from __future__ import annotations

from envs.experts.carry import CarryExpert


class StackCenteredExpert(CarryExpert):
    """Carries the red cube above the green one and lets it go there."""

    clearance_m = 0.035
    obstacle_m = 0.08
