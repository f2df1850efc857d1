"""Worker processes that end with their parent, or the parent itself where one is enough."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from whatwhere.parent import end_with


class Job(Protocol):
    """One thing done for many items, by something that is dear to make."""

    def __call__(self, item: Any, /) -> Any: ...

    def close(self) -> None: ...


_job: list[Job] = []  # in a worker process: the one it has


@contextlib.contextmanager
def workers(num_workers: int, make_job: Callable[..., Job], *arguments: Any) -> Iterator[Callable[[Any], Future[Any]]]:
    """Yields `submit(item) -> Future` of `make_job(*arguments)(item)`; each worker makes its job once. One worker: in this process, at once."""
    if num_workers == 1:
        job = make_job(*arguments)

        def here(item: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(job(item))
            return future

        try:
            yield here
        finally:
            job.close()
        return
    context = multiprocessing.get_context("spawn")  # never fork: a GL context does not survive it
    pool = ProcessPoolExecutor(num_workers, context, _begin, (os.getpid(), make_job, arguments))
    try:
        yield lambda item: pool.submit(_work, item)
    except BrokenProcessPool:
        raise SystemExit("a worker process died (out of memory, killed?); the same command carries on where it stopped") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int, make_job: Callable[..., Job], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    end_with(parent)
    _job.append(make_job(*arguments))


def _work(item: Any) -> Any:
    return _job[0](item)
