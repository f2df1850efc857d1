"""How late a policy's pictures and actions may be, and what it may be told of the robot since: names, limits and sizes. Imports no numpy."""

from __future__ import annotations

from collections.abc import Sequence

from whatwhere.errors import BadInput, choose, shown

PARTS = ("proprio", "moved", "actions")
LONGEST = 100  # control steps by which pictures or actions may be late


def sizes(history: Sequence[str], proprio_dim: int, action_dim: int, steps: int) -> int:
    """How many numbers come beside the present proprio. `steps`: latency + action_latency."""
    return sum(action_dim * steps if part == "actions" else proprio_dim for part in history)


def check_late(history: Sequence[str], latency: int, action_latency: int, execute: int) -> None:
    """Raises BadInput for latencies that cannot be, a history of nothing, and a pace that does not fit it."""
    for name, value in (("latency", latency), ("action_latency", action_latency)):
        if not 0 <= value <= LONGEST:
            raise BadInput(f"{name}={shown(value)}: must be 0 to {LONGEST} control steps")
    for part in history:
        choose("history", part, PARTS)
    if len(set(history)) < len(history):
        raise BadInput(f"history=[{', '.join(history)}]: names one part twice")
    if history and not (latency or (action_latency and set(history) == {"actions"})):
        raise BadInput(f"history=[{', '.join(history)}]: nothing to tell where pictures are not late; set latency=, or leave it out")
    check_pace(history, latency, execute)


def check_pace(history: Sequence[str], latency: int, execute: int) -> None:
    """Raises BadInput where a policy that is asked every `execute` control steps would not have seen proprio at the moment of its pictures."""
    if latency % execute and {"proprio", "moved"} & set(history):
        rates = ", ".join(str(rate) for rate in range(1, latency + 1) if not latency % rate)
        asked = f"with latency={latency} and history=[{', '.join(history)}] a policy is asked every {rates} control steps"
        raise BadInput(f"execute={execute}: {asked}, so that it has seen the robot when the pictures were taken")
