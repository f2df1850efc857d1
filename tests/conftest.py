"""For every test: one thread a process, no settings of the user's, no network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.disks import read_only, tiny_disk

# Before torch or a simulator is imported: tests run in two processes, and rows must not depend on the number of threads.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that downloads weights fails at once
for name in ("WHATWHERE_CHECKPOINTS", "HYDRA_FULL_ERROR"):
    os.environ.pop(name, None)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`disk(kilobytes)`: the folder of a file system of that size."""
    with contextlib.ExitStack() as mounts:
        yield lambda kilobytes: mounts.enter_context(tiny_disk(tmp_path / "disk", kilobytes))


@pytest.fixture
def sealed() -> Iterator[Callable[[Path], Path]]:
    """`sealed(folder)`: from now on nothing can be written there."""
    with contextlib.ExitStack() as mounts:
        yield lambda folder: mounts.enter_context(read_only(folder))
