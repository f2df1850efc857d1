"""The tasks as robosuite environments: after `import envs.tasks`, `robosuite.make("PickAtXY", …)` finds them.

Importing this package imports robosuite, quietly and with its compiler's cache where it can be written.
"""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import Any

from envs.catalogue import VARIED, VERSIONS, check_task, check_version
from envs.foreign.names import imported
from whatwhere.errors import choose
from whatwhere.versions import check_simulator

check_simulator()

from envs.rendering.gl import hidden  # noqa: E402
from envs.rendering.meshes import cache_dir, is_writable  # noqa: E402  (imports mujoco, so only after the check)


def _prepare_numba() -> None:
    """robosuite's compiler gives up, on import, where it finds no folder for its cache or is told to use no thread."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if not (given and is_writable(Path(given))):
        os.environ["NUMBA_CACHE_DIR"] = str(cache_dir() / "numba")  # beside its source numba may not be allowed to write
    threads = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not (threads.isdecimal() and int(threads)):
        del os.environ["NUMBA_NUM_THREADS"]


_prepare_numba()
os.environ.setdefault("PYNPUT_BACKEND", "dummy")  # robosuite's keyboard device would ask for a display


def _import_quietly(module: str) -> None:
    """robosuite warns on import of optional files and packages that nothing here needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        importlib.import_module(module)
    finally:
        logging.disable(before)


with hidden("CUDA_VISIBLE_DEVICES"):
    _import_quietly("robosuite")
logging.getLogger("robosuite_logs").setLevel(logging.WARNING)  # else a line for every environment made
for _tasks in (*VERSIONS.values(), VARIED):
    for _place in _tasks.values():
        importlib.import_module(_place.partition(":")[0])


def task_class(task: str, version: int = 0, is_varied: bool = False) -> Any:
    """The robosuite class behind a task's name; `is_varied`: with other things than its own (envs.variety). Raises BadInput for one that is not there."""
    check_task(task)
    check_version(task, version)
    if is_varied:
        return imported(VARIED[choose("task", task, VARIED)])
    if task in VERSIONS[version]:
        return imported(VERSIONS[version][task])
    from envs.foreign.robosuite_tasks import adopted

    return adopted(task)
