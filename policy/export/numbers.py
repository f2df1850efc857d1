"""What the numbers of a task's proprio and actions mean, for whoever connects a robot. The tasks' own pages: docs/tasks.md."""

from __future__ import annotations

_HAND = "the point between the finger pads, in the axes of the robot's base"
_ROTATION = "of the hand's rotation matrix, in the axes of the robot's base"
_ARM = {
    "proprio": [
        *(f"{axis} of {_HAND} (m)" for axis in "xyz"),
        *(f"row {row} of column {column} {_ROTATION}" for column in (0, 1) for row in (0, 1, 2)),
        "opening of the fingers (m)",
    ],
    "actions": [
        *(f"displacement of the hand along {axis} of the robot's base, from where it is; 1 is 5 cm" for axis in "xyz"),
        *(f"turn of the hand about {axis} of the robot's base, from how it is; 1 is 0.5 rad" for axis in "xyz"),
        "gripper: above 0 closes, below 0 opens, 0 leaves it",
    ],
}
_BASE = {
    "proprio": [f"{name} velocity of the base, in its own axes, in units of a full action" for name in ("forward", "left", "turning")],
    "actions": ["forward velocity; 1 is 0.7 m/s", "velocity to the left; 1 is 0.7 m/s", "turn, counter-clockwise from above; 1 is 1.2 rad/s"],
}
NUMBERS: dict[str, dict[str, list[str]]] = {"pick_at_xy": _ARM, "place_left_of": _ARM, "stack_centered": _ARM, "navigate_to": _BASE}
CONTROL_HZ = 20  # of these tasks


def numbers(task: str, what: str, dim: int) -> list[str]:
    """A text for each of the `dim` numbers of `what` (proprio or actions)."""
    known = NUMBERS.get(task, {}).get(what, [])
    return known if len(known) == dim else [f"number {i}, as {task} recorded it" for i in range(dim)]
