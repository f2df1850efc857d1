"""Carries out many cells, so many at a time, and tells of all of them in one place."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from eval.launching.carrying import THERE, wait
from eval.launching.job import Job
from eval.launching.process import Died, end_all, is_ending
from eval.playing.progress import duration
from whatwhere.errors import Failed


class Board:
    """Counts `todo` cells to come, beside those of `total` that are there already, and says how each ends."""

    def __init__(self, todo: Sequence[Job], total: int) -> None:
        self.todo, self.total, self.done = todo, total, 0
        self.began = time.monotonic()
        self.open = {job.name: job for job in todo}
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        with self._lock:
            print(line, flush=True)

    def ended(self, job: Job, said: str) -> None:
        del self.open[job.name]
        self.done += 1
        running = sum(other.lease.exists() for other in list(self.open.values()))
        left = (time.monotonic() - self.began) / self.done * len(self.open)
        rest = f" · {running} running, {len(self.open) - running} waiting" if self.open else ""
        self.say(f"{self.total - len(self.open)}/{self.total} {job.name}: {said}{rest} · {duration(left)} left")


def carry_out_all(launcher: Any, todo: Sequence[Job], total: int, at_once: int, retries: int) -> list[str]:
    """Returns a line for each cell that failed; the others are there then. A cell whose process died is begun again, at most `retries` times."""
    board, failed = Board(todo, total), []
    pool = ThreadPoolExecutor(at_once)
    try:
        running = {pool.submit(_one, launcher, job, retries, board): job for job in todo}
        for future in as_completed(running):
            job, said = running[future], future.result()
            board.ended(job, said)
            failed += [f"{job.name}: {said}"] if said.startswith("failed") else []
    except BaseException:  # Ctrl-C, or nobody listens: what was begun is not left to go on alone
        end_all()
        launcher.end()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return failed


def _one(launcher: Any, job: Job, retries: int, board: Board) -> str:
    """What is to be said of it at its end."""
    for number in range(retries + 1):
        try:
            return THERE if wait(job, board.say) else launcher.run(job)
        except Failed as error:
            return f"failed: {error} · log: {job.log}"
        except Died as error:
            last = error
        if is_ending():
            return "failed: interrupted"
        if number < retries:
            board.say(f"{job.name}: {last}; begun again, {number + 1} of {retries}")
    return f"failed: {last}, the last of {retries + 1} times · log: {job.log}"
