"""`1 episode`, `2 episodes`: counts as people write them."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """`number` and its noun; `many` where its plural is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
