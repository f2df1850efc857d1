"""`python -m eval.bench all`: what a user waits for, each figure beside its bar, in one run of about ten minutes.

Figures that are no ratios hold for an idle machine with two cores; `docs/speed.md` has those of the last run.
"""

from __future__ import annotations

from collections.abc import Iterable

from eval.benches.env import against_stock
from eval.benches.evaluation import evaluation
from eval.benches.figure import Figure
from eval.benches.policy import finetuning, ways
from eval.benches.settings import Settings
from eval.benches.start import start


def measure(settings: Settings) -> list[Figure]:
    """Prints each figure as it comes."""
    figures: list[Figure] = []
    parts: tuple[Iterable[Figure], ...] = (start(), ways(), against_stock(settings), evaluation(), finetuning())
    for part in parts:
        for figure in part:
            print(figure, flush=True)
            figures.append(figure)
    return figures
