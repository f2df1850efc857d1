"""Tasks: robosuite environments under the gymnasium contract, their scripted experts and their demonstrations.

Importing this package registers the gymnasium ids and imports no simulator; `make` does.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium

from envs.catalogue import PERTURBATIONS, TASKS, VERSIONS, check_task, check_version
from envs.foreign.names import is_gymnasium
from envs.motion import motion_of
from envs.variety import check_things
from whatwhere.errors import BadInput, choose
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from envs.base import TaskEnv

__all__ = ["PERTURBATIONS", "TASKS", "check_task", "gymnasium_id", "make", "task_class"]


def make(
    task: str,
    *,
    rendering: str = "fast",
    size: int = 96,
    frame_gap: int = 4,
    horizon: int | None = None,
    cameras: Sequence[str] | None = None,
    perturbation: str | None = None,
    latency: int = 0,
    action_latency: int = 0,
    motion: str | None = None,
    speed: Sequence[float] | None = None,
    origin: dict[str, Any] | None = None,
    version: int = 0,
    split: str | None = None,
    things: str | None = None,
) -> TaskEnv:
    """One environment of `task`: a name in `TASKS`, or an external one (`envs.foreign`).

    `rendering` "fast" or "exact"; `size` of the square pictures in pixels; `frame_gap` control steps between the two frames of an
    observation; `horizon` in control steps and `cameras` by name, by default the task's own; `perturbation`: light, camera or distractors, drawn
    for every episode (`envs.looks`); `motion`: what moves by itself (`envs.motion`), at a `speed` in cm/s drawn between these two for every episode;
    `latency` and `action_latency`: control steps by which pictures arrive late and actions are executed late (docs/late_pictures.md); `origin`: the
    environment in which demonstrations in another format were recorded (`envs.foreign.origin`); `version` 1: the instruction says which of several objects is
    meant, and `split` (train, unseen_pairs or unseen_words) selects objects and sentences (`envs.language`); `things="varied"`: other objects lie in the
    place of the task's cubes (`envs.variety`), for play. Raises BadInput.
    """
    check_task(task)
    check_version(task, version, split)
    motion_of(task, motion, speed, version)  # refused before a simulator is imported
    check_things(task, things, version, motion)
    check_simulator()
    from envs.rendering import prepare_gl

    options: dict[str, Any] = {"rendering": rendering, "size": size, "frame_gap": frame_gap, "horizon": horizon, "cameras": cameras}
    options |= {"latency": latency, "action_latency": action_latency}
    with contextlib.suppress(*[BadInput] if is_gymnasium(task) else []):  # one that draws without OpenGL is none the worse
        prepare_gl()  # before mujoco is imported, which loads the back-end that MUJOCO_GL names
    if is_gymnasium(task):
        if perturbation is not None:
            raise BadInput(f"perturbation={perturbation}: a gymnasium environment cannot be perturbed; leave it out")
        if origin:
            raise BadInput(f"task={task}: origin: a gymnasium environment takes nothing over, found {origin!r:.80}")
        from envs.foreign.gymnasium_env import GymnasiumEnv

        return GymnasiumEnv(task, **options)
    from envs.robosuite_env import RobosuiteEnv

    named: dict[str, Any] = {"version": version, "split": split, "things": things}
    return RobosuiteEnv(task, **options, perturbation=perturbation, motion=motion, speed=speed, origin=origin, **named)


def task_class(task: str, version: int = 0, is_varied: bool = False) -> Any:
    """The robosuite class behind a task's name (imports the simulator); `is_varied`: with other things than its own.

    Raises BadInput for an unknown name or version.
    """
    check_task(task)
    check_version(task, version)
    from envs.tasks import task_class

    return task_class(task, version, is_varied)


def gymnasium_id(task: str, version: int = 0) -> str:
    """The id under which gymnasium knows a task: pick_at_xy → whatwhere/PickAtXY-v0."""
    check_version(choose("task", task, TASKS), version)
    return f"whatwhere/{TASKS[task].partition(':')[2]}-v{version}"


# gymnasium calls every version but the last out of date; here version 0 is the easier task, and stays.
warnings.filterwarnings("ignore", r".*whatwhere/\w+-v0 is out of date", DeprecationWarning)
_DEFAULTS = make.__kwdefaults__ or {}  # the ids have those of `make`
for _version in VERSIONS:
    for _task in TASKS:
        if (_id := gymnasium_id(_task, _version)) not in gymnasium.registry:
            gymnasium.register(_id, entry_point="envs.robosuite_env:RobosuiteEnv", kwargs={"task": _task, **_DEFAULTS, "version": _version})
