"""What says in JSON how to move: a line of recorded commands, a message of the page. Numbers beyond their range count as its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from envs.teleop.device import BUTTONS, Command, Triple
from whatwhere.schema import Finite, Index

Three = tuple[Finite, Finite, Finite]
Pressed = Annotated[list[Literal[BUTTONS]], Meta(max_length=8)]  # type: ignore[valid-type]


class Move(TypedDict, total=False):
    move: Three
    turn: Three
    speed: Finite
    buttons: Pressed


class Line(Move, total=False):
    """A line of recorded commands: the start they are for, a move, or an action of the task."""

    seed: Index
    start: Index
    action: Annotated[list[Annotated[float, Meta(ge=-1e6, le=1e6)]], Meta(min_length=1, max_length=1000)]
    arm_goal: Annotated[list[Finite], Meta(min_length=8, max_length=8)] | None


class Message(Move, total=False):
    """What the page sends twenty times a second."""

    visible: bool
    seen: Annotated[float, Meta(ge=0, le=2**53)]  # number of the last picture that was shown


def command_of(told: Mapping[str, Any], speed: float) -> Command:
    """The command that a Move tells; `speed` where it tells none."""
    return Command(_triple(told.get("move")), _triple(told.get("turn")), min(max(told.get("speed", speed), 0.0), 1.0), tuple(told.get("buttons", ())))


def _triple(values: Any) -> Triple:
    x, y, z = (min(max(float(value), -1.0), 1.0) for value in values or (0.0, 0.0, 0.0))
    return x, y, z
