"""Commands of this package, run and timed as a user runs them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from whatwhere.errors import Failed


def run(module: str, *arguments: str) -> float:
    """Seconds that `python -m module arguments` took. Raises Failed with the last line that it said, if it ended badly."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{module}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return time.perf_counter() - began


def lines(module: str, *arguments: str) -> Iterator[tuple[float, str]]:
    """Each line that the command prints, with the seconds since it was begun. Raises Failed if it ended badly."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield time.perf_counter() - began, line.rstrip("\n")
    if process.returncode:
        raise Failed(f"{module}: exit code {process.returncode}")
