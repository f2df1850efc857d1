"""Which tasks there are, by name, how they are drawn, and what may be changed in them. Imports no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.foreign.names import check_foreign
from envs.language.things import SPLITS
from whatwhere.errors import BadInput, choose

# name → where its class is; a new task is one file, one line here and one in envs/experts.
TASKS: dict[str, str] = {
    "pick_at_xy": "envs.tasks.pick_at_xy:PickAtXY",
    "place_left_of": "envs.tasks.place_left_of:PlaceLeftOf",
    "stack_centered": "envs.tasks.stack_centered:StackCentered",
    "navigate_to": "envs.tasks.navigate_to:NavigateTo",
}
# The same tasks in version 1, where the instruction says which of several things is meant (envs/language): name → class.
NAMED: dict[str, str] = {
    "pick_at_xy": "envs.tasks.named:PickAtXY1",
    "place_left_of": "envs.tasks.named:PlaceLeftOf1",
    "stack_centered": "envs.tasks.named:StackCentered1",
    "navigate_to": "envs.tasks.pads:NavigateTo1",
}
# Those of version 0 with other things in the place of cubes (envs.variety): name → class.
VARIED: dict[str, str] = {
    "pick_at_xy": "envs.tasks.varied:PickAtXYVaried",
    "place_left_of": "envs.tasks.varied:PlaceLeftOfVaried",
    "stack_centered": "envs.tasks.varied:StackCenteredVaried",
}
VERSIONS: dict[int, dict[str, str]] = {0: TASKS, 1: NAMED}
RENDERINGS = ("fast", "exact")  # decimated meshes, or robosuite's own
LARGEST_PICTURE = 480  # pixels, square
LONGEST_LATENCY = 100  # control steps
# What may be changed for every episode, though no demonstration shows it: the light; the scene camera's place and direction; more things on the table.
PERTURBATIONS = ("light", "camera", "distractors")


def check_task(task: str, field: str = "task") -> str:
    """`task` itself if there is such a task: in `TASKS`, or elsewhere. Imports no simulator. Raises BadInput."""
    return task if task in TASKS else check_foreign(task, TASKS, field)


def recorded_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`version` and `split` for `envs.make`, of what a demonstration or a checkpoint says of its task; a version that is not known here counts as 0."""
    said = str(settings.get("task_version"))
    version = int(said) if settings.get("task") in NAMED and said.isdecimal() and int(said) in VERSIONS else 0
    return {"version": version, "split": settings.get("split")} if version else {}


def told_version(version: int | None, split: str | None) -> str:
    """`v1` or `v1-unseen_pairs`, for names of files; empty for version 0."""
    return "" if not version else f"v{version}" + (f"-{split}" if split not in (None, SPLITS[0]) else "")


def check_version(task: str, version: int = 0, split: str | None = None) -> None:
    """Raises BadInput unless `task` has that version and, if one is given, that split."""
    if version not in VERSIONS:
        raise BadInput(f"version={version}: unknown; valid: {', '.join(map(str, VERSIONS))}")
    if version and task not in VERSIONS[version]:
        raise BadInput(f"version={version}: task={task} has none; it is one of {', '.join(VERSIONS[version])}")
    if split is not None:
        choose("split", split, SPLITS)
        if not version:
            raise BadInput(f"split={split}: version 0 of a task has one instruction; add version=1")
