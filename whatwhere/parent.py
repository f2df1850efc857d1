"""A process that ends with the one that started it, however that one ends: also by `kill -9`, which lets it say nothing to anybody."""

from __future__ import annotations

import os
import signal
import threading
import time

CHILD_OF = "WHATWHERE_CHILD_OF"  # in the environment of a command that another one started: that one's number
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with(parent: int) -> None:
    """From now on this process is killed when `parent`, the process that started it, is gone; at once if it already is.

    What it does must bear a kill, as every command of this package does. Linux kills; elsewhere a thread looks twice a second.
    """
    import ctypes

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None or prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    elif os.getppid() != parent:
        os._exit(1)


def end_with_starter() -> None:
    """`end_with` where another command of this package started this one (`child_environment`)."""
    if (parent := os.environ.pop(CHILD_OF, "")).isdigit():
        end_with(int(parent))


def child_environment() -> dict[str, str]:
    """The environment for a command that is to end with this process."""
    return os.environ | {CHILD_OF: str(os.getpid())}


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
