"""`queries=batched`: one process holds the policy, on a GPU where there is one, and answers the queries of all workers, as many at once as have come together.

Each worker has a link to it and an agent behind that link, with the state of the worker's episode. The parent hands over one end of each new link; a link
ends with its worker, and its agent with it. Pictures come through the link: 0.1 MB a query takes 0.2 ms there and back.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from typing import TYPE_CHECKING, Any

from whatwhere.errors import BadInput, Failed, out_of_memory, outside
from whatwhere.parent import end_with

if TYPE_CHECKING:
    from eval.playing.policies import Learned

PATIENCE_S = 0.003  # how long a query waits for those of other workers
ASIDE = ("attention", "word_attention", "shares", "influence")  # what a worker may ask of its agent beside actions, for videos


class PolicyProcess:
    """The process, as the parent sees it. `make` makes the policy there and must be picklable."""

    def __init__(self, make: Callable[[], Learned]) -> None:
        self.make = make

    def start(self, limit_s: float, start_limit_s: float) -> None:
        """`limit_s`: how long it may be silent, `start_limit_s` until it has the policy; at work it says something ten times in `limit_s`."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.make, os.getpid(), limit_s / 10), daemon=True)
        self.process.start()
        theirs.close()
        self.limit_s, self.allowed_s, self.heard = limit_s, start_limit_s, time.monotonic()

    def link(self) -> Connection:
        """The worker's end of a new link."""
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        with contextlib.suppress(OSError):  # if it has just died, `check` says so
            self.pipe.send(None)
            send_handle(self.pipe, theirs.fileno(), self.process.pid)
        theirs.close()
        return ours

    @property
    def signs(self) -> tuple[Any, ...]:
        """What to wait for beside the workers."""
        return self.pipe, self.process.sentinel

    def silence_left_s(self) -> float:
        return self.heard + self.allowed_s - time.monotonic()

    def check(self) -> None:
        """Raises BadInput or Failed if it did or is dead or silent, RuntimeError with its traceback if its code failed."""
        is_dead = not self.process.is_alive()  # asked before the pipe is read, so that nothing it said last is lost
        with contextlib.suppress(EOFError, OSError):
            while self.pipe.poll():
                kind, value = self.pipe.recv()
                self.heard, self.allowed_s = time.monotonic(), self.limit_s
                if kind == "refused":
                    raise BadInput(value)
                if kind == "stopped":
                    raise Failed(value)
                if kind == "failed":
                    raise RuntimeError(f"the process with the policy failed:\n{value}")
        if is_dead:
            self.process.join()
            raise Failed(f"the process with the policy died ({_how(self.process.exitcode)}); finished episodes are kept: give the same command again")
        if self.silence_left_s() <= 0:
            raise Failed(f"the process with the policy has not answered for {self.allowed_s:.0f} s; finished episodes are kept: give the same command again")

    def stop(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


def _how(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection, make: Callable[[], Learned], parent: int, every_s: float) -> None:
    """The process's life: makes the policy, then answers until it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    end_with(parent)
    try:
        policy = make()
        pipe.send(("ready", None))
        Desk(policy).work(pipe, min(every_s, 0.5))
    except BadInput as error:
        pipe.send(("refused", str(error)))
    except Failed as error:
        pipe.send(("stopped", str(error)))
    except Exception as error:
        line = outside(error) if isinstance(error, OSError) else out_of_memory(error)
        pipe.send(("failed", traceback.format_exc()) if line is None else ("stopped", line))


class Desk:
    """Reads what comes through the links, and answers."""

    def __init__(self, policy: Learned) -> None:
        import torch

        torch.set_num_threads(1)  # as in a worker
        self.policy = policy
        self.hello = policy.computed() | {"queries": "batched"}
        self.links: dict[Connection, Learned] = {}
        self.asked: dict[Connection, Learned] = {}  # who waits for actions

    def work(self, pipe: Connection, every_s: float) -> None:
        """Sends a sign of life through `pipe` every `every_s`. Returns when the parent is gone."""
        told = until = 0.0  # when the parent was last told; when those who wait are answered
        while True:
            now = time.monotonic()
            if self.asked and (now >= until or len(self.asked) == len(self.links)):
                self.answer()
            if now - told >= every_s:
                told = now
                pipe.send(("alive", None))
            none_waited = not self.asked
            for one in wait([pipe, *self.links], timeout=every_s if none_waited else max(0.0, until - time.monotonic())):
                if one is not pipe:
                    self.hear(one)  # type: ignore[arg-type]
                elif not self.welcome(pipe):
                    return
            if none_waited:
                until = time.monotonic() + PATIENCE_S

    def welcome(self, pipe: Connection) -> bool:
        """Takes a new link from the parent; False where that is gone."""
        try:
            pipe.recv()
        except (EOFError, OSError):
            return False
        link = Connection(recv_handle(pipe))
        self.links[link] = type(self.policy)(self.policy.agent.beside())
        self.send(link, "answer", self.hello)
        return True

    def hear(self, link: Connection) -> None:
        """What a worker says: `reset` (no answer), `act`, or one of ASIDE."""
        try:
            name, *values = link.recv()
        except (EOFError, OSError):  # it is gone
            self.drop(link)
            return
        policy = self.links[link]
        try:
            if name == "reset":
                policy.reset(*values)
            elif name in ASIDE:
                self.send(link, "answer", getattr(policy, name)())
            elif policy.agent.read(*values):
                self.asked[link] = policy
            else:
                self.send(link, "answer", (policy.agent.finish(None), policy.fallen()))
        except BadInput as error:
            self.send(link, "refused", str(error))

    def answer(self) -> None:
        """Answers all who wait, as one batch."""
        from policy.inference.together import together

        asked, self.asked = self.asked, {}
        for (link, policy), answer in zip(asked.items(), together([policy.agent for policy in asked.values()]), strict=True):
            self.send(link, "answer", (policy.agent.finish(answer), policy.fallen()))

    def send(self, link: Connection, kind: str, value: Any) -> None:
        try:
            link.send((kind, value))
        except OSError:  # the worker is gone
            self.drop(link)

    def drop(self, link: Connection) -> None:
        self.links.pop(link, None)
        self.asked.pop(link, None)
        link.close()
