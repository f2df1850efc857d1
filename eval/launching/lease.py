"""Who carries out a cell, among all machines that share its folder: one at a time, and a dead one not for long.

A file that is made by one and touched while that one lives (filelock's SoftFileLease). It asks nothing of the file system but that a file can be made once:
many a cluster's has no locks, or locks that hold on one machine. Where the holder's process is gone from this machine it is taken over at once; where it was
on another one, after it was not touched for LEASE_S seconds of the clock of whoever waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

LEASE_S = 60.0
LOOK_S = 0.5


class Stopped(Exception):
    """Waited no longer."""


@contextlib.contextmanager
def held(
    path: Path, on_wait: Callable[[], None] = lambda: None, stop: Callable[[], bool] = lambda: False, lost: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Waits for the lease and holds it. `on_wait` is called once if another one has it, `stop` asked while waiting (Stopped).

    lost: called if the lease is lost (this machine slept, and another one began): what was begun is to be ended.
    """
    from filelock import SoftFileLease, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(path, lease_duration=LEASE_S, on_compromise=lambda _: lost(), mode=0o644)
    try:
        lease.acquire(timeout=0)
    except Timeout:
        on_wait()
        try:
            lease.acquire(timeout=-1, poll_interval=LOOK_S, cancel_check=stop)
        except Timeout:
            raise Stopped from None
    try:
        yield
    finally:
        lease.release()
