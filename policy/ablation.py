"""Which of the two streams a policy sees: all of `policy.finetune streams_used=`, and what `eval.run without=` takes away. Imports no torch."""

from __future__ import annotations

from whatwhere.errors import BadInput, choose

STREAMS = ("m", "p")  # what changed, what is where
USED = ("both", *STREAMS)


def unseen(used: str) -> frozenset[str]:
    """The streams that a policy with `streams_used=used` never sees."""
    return frozenset() if used == "both" else frozenset(STREAMS) - {used}


def check_without(used: str, without: str | None, who: str) -> None:
    """Raises BadInput unless `without` can be taken away from a policy (`who`) that uses `used`, and something is left."""
    if without is None:
        return
    choose("without", without, STREAMS)
    if used != "both":
        left = "nothing would be left" if without == used else f"there is no {without} to take away"
        raise BadInput(f"without={without}: {who} was trained with streams_used={used}: {left}")
