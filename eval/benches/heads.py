"""What each head adds to a query: processor time of `Agent.act` on one thread, as a ratio to that with `l1`; part of `python -m eval.bench policy`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from eval.benches.figure import Figure
from eval.benches.queries import seconds_of, untrained
from policy.heads import HEADS, UNNAMED

RATIO = 1.1


def heads() -> Iterator[Figure]:
    """Timed in a process of its own, so that one thread is all it ever had."""
    told = json.loads(subprocess.run([sys.executable, "-m", "eval.benches.heads"], check=True, capture_output=True, text=True).stdout)
    for name, ratio in told.items():
        yield Figure(f"query: head={name}", ratio, f"of {UNNAMED}", at_most=RATIO)


def ratios(queries: int = 40) -> dict[str, float]:
    """Medians over pairs of queries, the heads taking turns, over the default encoder with random weights, by the fastest way (`inference=auto`)."""
    from policy.config import PolicyConfig

    seconds = seconds_of([untrained(PolicyConfig(head=name), inference="auto") for name in HEADS], queries)
    base = seconds[:, [list(HEADS).index(UNNAMED)]]
    return {name: float(ratio) for name, ratio in zip(HEADS, np.median(seconds / base, axis=0), strict=True) if name != UNNAMED}


if __name__ == "__main__":
    print(json.dumps(ratios()))
