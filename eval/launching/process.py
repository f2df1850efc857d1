"""Runs one command in a process of its own, which ends with this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from whatwhere.errors import Failed
from whatwhere.parent import child_environment

ENDING_S = 20  # after which a command that was told to end is killed
OF_A_SIGNAL = 128  # a shell's exit code for a command that signal n ended is 128 + n
_running: set[subprocess.Popen[bytes]] = set()
_starting = threading.Lock()  # held while a command is started and noted in `_running`, so that none slips past the end
_ending = threading.Event()  # no further command is started


class Died(Exception):
    """A process was killed from outside (kill -9, a lost machine, no memory left): no fault of what it was asked to do; the same command carries on."""


def run(words: Sequence[str], log: Path, folder: str | None = None) -> str:
    """Runs `python -m` with these words to its end, what it says going to `log`, and returns the last line of that. Raises Failed, Died."""
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said:
        said.write(f"$ python -m {' '.join(words)}\n".encode())
        said.flush()
        with _starting:
            if _ending.is_set():
                raise Failed(f"{' '.join(words)}: interrupted")
            command = [sys.executable, "-m", *words]
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=child_environment() | threads)
            _running.add(process)
    try:
        code = process.wait()
    finally:
        _running.discard(process)
    if code < 0 or code > OF_A_SIGNAL:
        raise Died(f"{words[0]}: killed ({name_of_signal(code)})")
    last = last_line(log)
    if code:
        raise Failed(f"{' '.join(words)}: {last}")
    return last


def last_line(log: Path) -> str:
    """What was said last; `no message` where nothing was."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65536))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "$ ")
    return "no message" if last.startswith("$ ") else last.strip()


def name_of_signal(code: int) -> str:
    number = -code if code < 0 else code - OF_A_SIGNAL
    return signal.Signals(number).name if number in set(signal.Signals) else f"exit code {code}"


def begin() -> None:
    """Commands may be started, also after `end_all`."""
    _ending.clear()


def is_ending() -> bool:
    return _ending.is_set()


def end_all() -> None:
    """Interrupts what runs, and kills what does not end: a signal can get lost in a command that only begins."""
    with _starting:
        _ending.set()
        processes = list(_running)
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + ENDING_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
