"""Context memory (spec B6): what a policy saw in the last moments, beside what it sees now: names and what goes with what. Imports no torch."""

from __future__ import annotations

from whatwhere.errors import BadInput, shown

LONGEST = 100  # moments


def check_memory(memory: int, frame_gap: int, execute: int, head: str = "") -> None:
    """Raises BadInput for a memory that cannot be, and for a pace that does not fit it: moments are `frame_gap` control steps apart."""
    if not 0 <= memory <= LONGEST or memory == 1:
        raise BadInput(f"memory={shown(memory)}: must be 0 (none) or 2 to {LONGEST} moments")
    if memory and frame_gap % execute:
        rates = ", ".join(str(rate) for rate in range(1, frame_gap + 1) if not frame_gap % rate)
        raise BadInput(f"execute={execute}: a policy with memory remembers every {frame_gap} control steps, so it is asked every {rates}")
    if memory and head == "planned":
        raise BadInput("memory: not with head=planned; leave it out")
