"""Worker processes that play episodes: each holds one environment and one policy; one that dies or hangs is replaced and its episode played again.

The parent imports no simulator and no torch: it hands out episode numbers and collects rows. Workers are spawned, never forked (GL and torch do not survive a
fork). Which worker plays what depends on timing; rows do not, because an episode starts from nothing but its number.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from eval.playing.batched import PolicyProcess
from whatwhere.errors import BadInput, Failed, outside
from whatwhere.parent import end_with

Row = dict[str, Any]
Tell = Callable[..., None]  # tell(): I am alive; tell(row): and this is known of the episode so far
Play = Callable[[int, Tell], Row]  # episode, tell -> the row
# entered once in each worker: makes environment and policy; must be picklable. Called with a link to the policy where a process of its own has that.
Build = Callable[..., contextlib.AbstractContextManager[Play]]

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
    timeout_s: float = 120.0, start_timeout_s: float = 600.0, policy: PolicyProcess | None = None,
) -> None:  # fmt: skip
    """Plays `episodes` on `num_envs` workers and calls `on_row(row)` for each as it ends, in whatever order.

    A worker from which nothing is heard for `timeout_s` (`start_timeout_s` while it starts) is killed. An episode whose worker dies or hangs is played
    again, and after `TRIES` times becomes the row `lost(episode, reason, known)`, reason being worker_killed or worker_hung, `known` what the worker had
    told of it. So every episode gets its row, or this raises: BadInput or Failed (a full disk, …) if a worker did; RuntimeError, with the worker's
    traceback, if its code failed or workers die before they are ready; whatever `on_row` raises.

    `policy`: holds the policy for all workers. It is not replaced: its death, or `timeout_s` / 2 without a sign of life, ends all (`PolicyProcess.check`).
    """
    queue, losses, false_starts = deque(episodes), Counter[int](), 0
    workers: list[Worker] = []
    with _one_thread():
        if policy is not None:
            policy.start(timeout_s / 2, start_timeout_s)
        try:
            while queue or any(worker.episode is not None for worker in workers):
                busy = sum(worker.episode is not None for worker in workers)
                while len(workers) < min(num_envs, busy + len(queue)):
                    workers.append(_start(build, start_timeout_s, policy))
                for worker in workers:
                    if worker.is_ready and worker.episode is None and queue:
                        _hand_out(worker, queue.popleft(), timeout_s)
                said, gone = _listen(workers, policy)
                if policy is not None:
                    policy.check()  # first: who asks a dead process falls silent, too
                for worker, kind, value in said:
                    _take(worker, kind, value, on_row)
                for worker, reason in gone:
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
            if policy is not None:
                policy.stop()


def _hand_out(worker: Worker, episode: int, timeout_s: float) -> None:
    worker.episode, worker.known, worker.limit_s, worker.heard = episode, {}, timeout_s, time.monotonic()
    with contextlib.suppress(OSError):  # if it has just died, `_listen` will notice
        worker.pipe.send(episode)


def _listen(workers: list[Worker], policy: PolicyProcess | None) -> tuple[list[tuple[Worker, str, Any]], list[tuple[Worker, str]]]:
    """Waits until a worker (or the policy) says something, dies, or has been silent too long. Returns what they said, and those that died or hang.

    What is done with it comes later (`_take`): an error there, such as a full disk, is no worker's death.
    """
    others = [] if policy is None else [policy]
    patience = max(0.0, min(one.silence_left_s() for one in (*workers, *others)))
    signs = [thing for worker in workers for thing in (worker.pipe, worker.process.sentinel)] + [thing for one in others for thing in one.signs]
    wait(signs, timeout=min(patience, 3600.0))
    said, gone = [], []
    for worker in workers:
        is_dead = not worker.process.is_alive()  # asked before the pipe is read, so that nothing it said last is lost
        try:
            while worker.pipe.poll():
                said.append((worker, *worker.pipe.recv()))
                worker.heard = time.monotonic()
        except (EOFError, OSError):
            is_dead = True
        if is_dead:
            gone.append((worker, "worker_killed"))
        elif worker.silence_left_s() <= 0:
            gone.append((worker, "worker_hung"))
    return said, gone


def _take(worker: Worker, kind: str, value: Any, on_row: Callable[[Row], None]) -> None:
    if kind == "ready":
        worker.is_ready = True
    elif kind == "alive":
        worker.known |= value
    elif kind == "row":
        worker.episode = None
        on_row(value)
    elif kind == "refused":
        raise BadInput(value)
    elif kind == "stopped":
        raise Failed(value)
    else:
        raise RuntimeError(f"a worker failed:\n{value}")


def _start(build: Build, limit_s: float, policy: PolicyProcess | None) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    links = () if policy is None else (policy.link(),)
    process = context.Process(target=_serve, args=(theirs, functools.partial(build, *links), os.getpid()), daemon=True)
    process.start()
    for end in (theirs, *links):
        end.close()  # so that the pipe ends when the worker does
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
def _one_thread() -> Iterator[None]:
    """The environment that workers inherit: one arithmetic thread each."""
    settings: dict[str, str] = dict.fromkeys(ONE_THREAD, "1")
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
    end_with(parent)
    last = 0.0

    def tell(known: Row | None = None) -> None:
        nonlocal last
        if known is not None or time.monotonic() - last > 0.5:  # often enough to be known alive, seldom enough to cost nothing
            last = time.monotonic()
            _send(pipe, "alive", known or {})

    try:
        with build() as play:
            _send(pipe, "ready", None)
            while (episode := _next(pipe)) is not None:
                _send(pipe, "row", play(episode, tell))
    except BadInput as error:
        _send(pipe, "refused", str(error))
    except Failed as error:
        _send(pipe, "stopped", str(error))
    except OSError as error:
        line = outside(error)
        _send(pipe, *(("failed", traceback.format_exc()) if line is None else ("stopped", line)))
    except Exception:
        _send(pipe, "failed", traceback.format_exc())


def _send(pipe: Connection, kind: str, value: Any) -> None:
    try:
        pipe.send((kind, value))
    except OSError:  # the parent is gone
        raise SystemExit(1) from None


def _next(pipe: Connection) -> int | None:
    try:
        return pipe.recv()
    except (EOFError, OSError):  # the parent is gone
        raise SystemExit(1) from None
