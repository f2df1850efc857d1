"""Progress on the terminal: a line an episode, with the success so far and the time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any


class Progress:
    """Counts `todo` episodes to come, which `workers` processes play, after the rows that are there already."""

    def __init__(self, todo: int, rows: Sequence[dict[str, Any]], workers: int = 1) -> None:
        self.todo, self.done, self.workers = todo, 0, workers
        self.successes = {row["episode"]: bool(row["success"]) for row in rows}
        self.began: float | None = None

    def show(self, row: dict[str, Any]) -> None:
        self.done += 1
        self.successes[row["episode"]] = row["success"]
        now = time.monotonic()
        if self.began is None:
            self.began = now - float(row["wall_s"])  # when the first episode began: processes start only once
        print(self.line(row, now - self.began), flush=True)

    def line(self, row: dict[str, Any], elapsed_s: float) -> str:
        """`elapsed_s`: since the first episode began."""
        error = row["position_error_cm"]
        outcome = "success" if row["success"] else f"failed ({row['failure']})" if row["failure"] else "failed "
        facts = f"{outcome}  {'      –   ' if error is None else f'{error:7.2f} cm'}  {row['steps']:4d} {'step ' if row['steps'] == 1 else 'steps'}"
        rate = sum(self.successes.values()) / len(self.successes)
        begun = min(self.workers - 1, self.todo - self.done) / 2  # the other processes have played half an episode each, on average
        left = elapsed_s / (self.done + begun) * (self.todo - self.done - begun)
        return f"  [{self.done:{len(str(self.todo))}d}/{self.todo}] episode {row['episode']:<4d} {facts} · success so far {rate:.3f} · {duration(left)} left"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
