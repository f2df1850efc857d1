"""What reading an instruction adds to a query: processor time of `Agent.act` on one thread, as a ratio to that with the words beside what was read.

Part of `python -m eval.bench policy`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from eval.benches.figure import Figure
from eval.benches.queries import INSTRUCTION, seconds_of, untrained
from policy.joins import JOINS, UNNAMED_JOIN
from policy.language import UNNAMED_LANGUAGE, WITH_VOCABULARY

RATIO = 1.3
WORD_DIM, JOIN = 64, "points"  # with which the languages are compared


def joins() -> Iterator[Figure]:
    """Timed in a process of its own, so that one thread is all it ever had."""
    told = json.loads(subprocess.run([sys.executable, "-m", "eval.benches.joins"], check=True, capture_output=True, text=True).stdout)
    for name, ratio in told.items():
        yield Figure(f"query: {name}", ratio, f"of {UNNAMED_JOIN}", at_most=RATIO)


def ratios(queries: int = 40) -> dict[str, float]:
    """Medians over pairs of queries, taking turns, over the default encoder with random weights, by the fastest way (`inference=auto`)."""
    from policy.config import PolicyConfig
    from policy.language.vocabulary import vocabulary_of

    words: dict[str, Any] = {"task_dim": WORD_DIM, "vocabulary": vocabulary_of([INSTRUCTION]), "join": JOIN}
    choices: dict[str, dict[str, Any]] = {f"join={name}": {"join": name} for name in (UNNAMED_JOIN, *(name for name in JOINS if name != UNNAMED_JOIN))}
    choices |= {f"join={JOIN} language={name}": words | {"language": name} for name in WITH_VOCABULARY if name != UNNAMED_LANGUAGE}
    seconds = seconds_of([untrained(PolicyConfig(**choice), inference="auto") for choice in choices.values()], queries)
    ratio = np.median(seconds / seconds[:, :1], axis=0)
    return {name: float(value) for name, value in list(zip(choices, ratio, strict=True))[1:]}


if __name__ == "__main__":
    print(json.dumps(ratios()))
