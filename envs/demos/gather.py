"""Plays one start of a seed after the other until a folder holds as many demonstrations as were wanted, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from envs.demos.starts import Starts
from envs.demos.workers import Job, workers
from whatwhere.counted import counted

PATIENCE = 20  # failed starts that are borne before the share of failures counts


def gather(starts: Starts, n: int, num_workers: int, what: str, make_job: Callable[..., Job], *arguments: Any, kept: str = "success") -> None:
    """Plays starts by `make_job(*arguments)(start)`, which gives a row of `starts.jsonl`, until the folder holds `n` files.

    `kept`: what is said of a start that gives a file. Leaves with exit code 1, and a line about `what`, if most of those that were played fail.
    """
    began, before = time.monotonic(), starts.num_files
    running: dict[Future[dict[str, Any]], int] = {}
    with workers(num_workers, make_job, *arguments) as submit:
        while True:
            while len(running) < num_workers and (start := starts.next(n, running.values())) is not None:
                running[submit(start)] = start
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                starts.add(row := future.result())
                done = starts.num_files
                left = int((time.monotonic() - began) / max(done - before, 1) * (n - done))
                outcome = f"{kept if row['success'] else 'failed: ' + row['failure']} after {counted(row['steps'], 'step')}"
                played = played_of(starts.rows)
                rate = f"{sum(row['success'] for row in played) / len(played):.0%} succeed · " if played and kept == "success" else ""
                print(f"start {row['episode']}: {outcome} · {done}/{n} · {rate}{left // 60}:{left % 60:02d} left", flush=True)
            failed = sum(not row["success"] for row in played_of(starts.rows))
            if failed > PATIENCE and failed > 2 * starts.num_files:
                raise SystemExit(f"{what}: {failed} of {len(played_of(starts.rows))} starts failed; see {starts.book}")


def played_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of starts that were played: the others were left out before their first step."""
    return [row for row in rows if row["success"] or row.get("steps") != 0]
