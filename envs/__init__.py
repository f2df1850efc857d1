"""Tasks: robosuite environments under the gymnasium contract, their scripted experts and their demonstrations.

Importing this package registers the gymnasium ids and imports no simulator; `make` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium

from whatwhere.errors import choose
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from envs.base import TaskEnv

# name → where its class is; a new task is one file, one line here and one in envs/experts.
TASKS: dict[str, str] = {
    "pick_at_xy": "envs.tasks.pick_at_xy:PickAtXY",
    "place_left_of": "envs.tasks.place_left_of:PlaceLeftOf",
    "stack_centered": "envs.tasks.stack_centered:StackCentered",
    "navigate_to": "envs.tasks.navigate_to:NavigateTo",
}
GYMNASIUM_VERSION = 0  # one for all: a change of a task's behaviour adds a task with a new version


def make(
    task: str,
    *,
    rendering: str = "fast",
    size: int = 96,
    frame_gap: int = 4,
    horizon: int | None = None,
    cameras: Sequence[str] | None = None,
) -> TaskEnv:
    """One environment of `task`.

    `rendering` "fast" or "exact"; `size` of the square pictures in pixels; `frame_gap` control steps between the two frames of an
    observation; `horizon` in control steps and `cameras` by name, by default the task's own. Raises BadInput.
    """
    choose("task", task, TASKS)
    check_simulator()
    from envs.rendering import prepare_gl

    prepare_gl()  # before mujoco is imported, which loads the back-end that MUJOCO_GL names
    from envs.base import TaskEnv

    return TaskEnv(task, rendering=rendering, size=size, frame_gap=frame_gap, horizon=horizon, cameras=cameras)


def task_class(task: str) -> Any:
    """The robosuite class behind a task's name (imports the simulator). Raises BadInput for an unknown name."""
    importlib.import_module("envs.tasks")
    module, _, name = TASKS[choose("task", task, TASKS)].partition(":")
    return getattr(importlib.import_module(module), name)


def gymnasium_id(task: str) -> str:
    """The id under which gymnasium knows a task: pick_at_xy → whatwhere/PickAtXY-v0."""
    return f"whatwhere/{TASKS[choose('task', task, TASKS)].partition(':')[2]}-v{GYMNASIUM_VERSION}"


for _task in TASKS:
    if gymnasium_id(_task) not in gymnasium.registry:
        gymnasium.register(gymnasium_id(_task), entry_point="envs.base:TaskEnv", kwargs={"task": _task})
