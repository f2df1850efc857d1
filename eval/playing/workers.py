"""Worker processes that play episodes: each holds one environment and one policy; one that dies or hangs is replaced and its episode played again.

The parent imports no simulator and no torch: it hands out episode numbers and collects rows. Workers are spawned, never forked (GL and torch do not survive a
fork). Which worker plays what depends on timing; rows do not, because an episode starts from nothing but its number.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from whatwhere.errors import BadInput

Row = dict[str, Any]
Tell = Callable[..., None]  # tell(): I am alive; tell(row): and this is known of the episode so far
Play = Callable[[int, Tell], Row]  # episode, tell -> the row
Build = Callable[[], contextlib.AbstractContextManager[Play]]  # entered once in each worker: makes environment and policy; must be picklable

TRIES = 3
# One thread for a worker's arithmetic: a sum's order, and with it the last bit of an action, must not depend on how many cores or workers there are.
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class Worker:
    """One process, its pipe, and what it is doing."""

    process: Any
    pipe: Connection
    limit_s: float  # how long it may be silent while something is expected of it
    heard: float  # when it last said something (time.monotonic)
    is_ready: bool = False
    episode: int | None = None
    known: Row = field(default_factory=dict)

    def silence_left_s(self) -> float:
        is_idle = self.is_ready and self.episode is None
        return float("inf") if is_idle else self.heard + self.limit_s - time.monotonic()


def play_all(
    episodes: Iterable[int], build: Build, num_envs: int, on_row: Callable[[Row], None], lost: Callable[[int, str, Row], Row],
    timeout_s: float = 120.0, start_timeout_s: float = 600.0,
) -> None:  # fmt: skip
    """Plays `episodes` on `num_envs` workers and calls `on_row(row)` for each as it ends, in whatever order.

    A worker from which nothing is heard for `timeout_s` (`start_timeout_s` while it starts) is killed. An episode whose worker dies or hangs is played
    again, and after `TRIES` times becomes the row `lost(episode, reason, known)`, reason being worker_killed or worker_hung, `known` what the worker had
    told of it. Raises BadInput if a worker did; RuntimeError, with the worker's traceback, if its code failed or workers die before they are ready.
    """
    queue, losses, false_starts = deque(episodes), Counter[int](), 0
    workers: list[Worker] = []
    with _one_thread(num_envs):
        try:
            while queue or any(worker.episode is not None for worker in workers):
                busy = sum(worker.episode is not None for worker in workers)
                while len(workers) < min(num_envs, busy + len(queue)):
                    workers.append(_start(build, start_timeout_s))
                for worker in workers:
                    if worker.is_ready and worker.episode is None and queue:
                        _hand_out(worker, queue.popleft(), timeout_s)
                for worker, reason in _listen(workers, on_row):
                    workers.remove(worker)
                    _kill(worker)
                    if not worker.is_ready:
                        false_starts += 1
                        if false_starts >= TRIES:
                            raise RuntimeError(f"{TRIES} workers could not start ({reason})")
                    if worker.episode is None:
                        continue
                    losses[worker.episode] += 1
                    if losses[worker.episode] < TRIES:
                        queue.appendleft(worker.episode)
                    else:
                        on_row(lost(worker.episode, reason, worker.known))
            for worker in workers:
                _dismiss(worker)
        finally:
            for worker in workers:
                _kill(worker)


def _hand_out(worker: Worker, episode: int, timeout_s: float) -> None:
    worker.episode, worker.known, worker.limit_s, worker.heard = episode, {}, timeout_s, time.monotonic()
    with contextlib.suppress(OSError):  # if it has just died, `_listen` will notice
        worker.pipe.send(episode)


def _listen(workers: list[Worker], on_row: Callable[[Row], None]) -> list[tuple[Worker, str]]:
    """Waits until a worker says something, dies, or has been silent too long; hears them all; returns those that died or hang."""
    patience = max(0.0, min(worker.silence_left_s() for worker in workers))
    wait([thing for worker in workers for thing in (worker.pipe, worker.process.sentinel)], timeout=min(patience, 3600.0))
    gone = []
    for worker in workers:
        is_dead = not worker.process.is_alive()  # asked before the pipe is read, so that nothing it said last is lost
        try:
            while worker.pipe.poll():
                _hear(worker, on_row)
        except (EOFError, OSError):
            is_dead = True
        if is_dead:
            gone.append((worker, "worker_killed"))
        elif worker.silence_left_s() <= 0:
            gone.append((worker, "worker_hung"))
    return gone


def _hear(worker: Worker, on_row: Callable[[Row], None]) -> None:
    kind, value = worker.pipe.recv()
    worker.heard = time.monotonic()
    if kind == "ready":
        worker.is_ready = True
    elif kind == "alive":
        worker.known |= value
    elif kind == "row":
        worker.episode = None
        on_row(value)
    elif kind == "refused":
        raise BadInput(value)
    else:
        raise RuntimeError(f"a worker failed:\n{value}")


def _start(build: Build, limit_s: float) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, build, os.getpid()), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends when the worker does
    return Worker(process, ours, limit_s, time.monotonic())


def _dismiss(worker: Worker, patience_s: float = 10.0) -> None:
    """Lets a worker leave by itself; one that is still starting has nothing to finish and is left to `_kill`."""
    if not worker.is_ready:
        return
    with contextlib.suppress(OSError):
        worker.pipe.send(None)
    worker.process.join(patience_s)


def _kill(worker: Worker) -> None:
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()
    worker.pipe.close()


@contextlib.contextmanager
def _one_thread(num_envs: int) -> Iterator[None]:
    """The environment that workers inherit: one arithmetic thread each, and the cores shared out among their software renderers."""
    settings = dict.fromkeys(ONE_THREAD, "1") | {"LP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // num_envs))}
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _serve(pipe: Connection, build: Build, parent: int) -> None:
    """A worker's life: make environment and policy, then play the episodes that come down the pipe until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    last = 0.0

    def tell(known: Row | None = None) -> None:
        nonlocal last
        if known is not None or time.monotonic() - last > 0.5:  # often enough to be known alive, seldom enough to cost nothing
            last = time.monotonic()
            pipe.send(("alive", known or {}))

    try:
        with build() as play:
            pipe.send(("ready", None))
            while (episode := pipe.recv()) is not None:
                pipe.send(("row", play(episode, tell)))
    except BadInput as error:
        pipe.send(("refused", str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        return
    except Exception:
        pipe.send(("failed", traceback.format_exc()))


def _leave_with(parent: int) -> None:
    """Ends this process when its parent is gone, so that a killed run leaves nothing behind, not even a worker that hangs."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
