"""Batches read ahead of the training loop by threads; what comes out does not depend on them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from policy.pretrain.clips import Plan


class Batches:
    """Yields, for each step of `steps`, what `read(plan(step))` gives, the rows shared by `threads` threads (0: read when asked for).

    `waited` is the time in seconds that the loop stood still for data.
    """

    def __init__(self, read: Callable[[Plan], tuple[np.ndarray, ...]], plan: Callable[[int], Plan], steps: range, threads: int, ahead: int = 2) -> None:
        self.read, self.plan, self.steps, self.threads, self.ahead, self.waited = read, plan, steps, threads, ahead, 0.0

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        if not self.threads:
            for step in self.steps:
                begin = time.perf_counter()
                pictures = self.read(self.plan(step))
                self.waited += time.perf_counter() - begin
                yield pictures
            return
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[list[Future[tuple[np.ndarray, ...]]]] = deque()
            for step in self.steps:
                while len(waiting) < self.ahead and step + len(waiting) < self.steps.stop:
                    waiting.append(self._submit(pool, step + len(waiting)))
                begin = time.perf_counter()
                parts = [future.result() for future in waiting.popleft()]
                self.waited += time.perf_counter() - begin
                yield parts[0] if len(parts) == 1 else tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> list[Future[tuple[np.ndarray, ...]]]:
        plan = self.plan(step)
        rows = -(-len(plan) // self.threads)
        return [pool.submit(self.read, plan.rows(slice(begin, begin + rows))) for begin in range(0, len(plan), rows)]
