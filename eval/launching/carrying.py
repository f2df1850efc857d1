"""Carries out one cell: its commands in order, by one process of all that could."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from eval.launching.job import Job
from eval.launching.lease import Stopped, held
from eval.launching.process import end_all, is_ending, run
from whatwhere.errors import Failed

THERE = "is there already"


def carry_out(job: Job, say: Callable[[str], None], lost: Callable[[], None] = end_all) -> str:
    """Returns the last line that was said. Raises Failed, Died. `say` is told if another process is at it; `lost`: see `held`."""
    waiting = partial(say, f"{job.name}: another process carries it out; waiting for it")
    try:
        with held(job.lease, waiting, is_ending, lost):
            return THERE if job.is_done() else [run(words, job.log, job.folder) for words in job.commands][-1]
    except Stopped:
        raise Failed("interrupted") from None


def wait(job: Job, say: Callable[[str], None]) -> bool:
    """Waits for another process that carries it out, if there is one; whether it is done then. So nobody waits where a place costs something."""
    waiting = partial(say, f"{job.name}: another process carries it out; waiting for it")
    try:
        with held(job.lease, waiting, is_ending):
            return job.is_done()
    except Stopped:
        raise Failed("interrupted") from None
