"""Batches read ahead of the training loop by threads; what comes out does not depend on them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from policy.pretrain.clips import Clips, Plan


class Batches:
    """Yields, for each step of `steps`, what `clips.read(plan(step))` gives, the rows shared by `threads` threads (0: read when asked for).

    `waited` is the time in seconds that the loop stood still for data.
    """

    def __init__(self, clips: Clips, plan: Callable[[int], Plan], steps: range, threads: int, ahead: int = 2) -> None:
        self.clips, self.plan, self.steps, self.threads, self.ahead, self.waited = clips, plan, steps, threads, ahead, 0.0

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if not self.threads:
            for step in self.steps:
                begin = time.perf_counter()
                pair = self.clips.read(self.plan(step))
                self.waited += time.perf_counter() - begin
                yield pair
            return
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[list[Future[tuple[np.ndarray, np.ndarray]]]] = deque()
            for step in self.steps:
                while len(waiting) < self.ahead and step + len(waiting) < self.steps.stop:
                    waiting.append(self._submit(pool, step + len(waiting)))
                begin = time.perf_counter()
                parts = [future.result() for future in waiting.popleft()]
                self.waited += time.perf_counter() - begin
                yield parts[0] if len(parts) == 1 else (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> list[Future[tuple[np.ndarray, np.ndarray]]]:
        plan = self.plan(step)
        rows = -(-len(plan) // self.threads)
        return [pool.submit(self.clips.read, plan.rows(slice(begin, begin + rows))) for begin in range(0, len(plan), rows)]
