"""Which tasks there are, by name, how they are drawn, and what may be changed in them. Imports no simulator."""

from __future__ import annotations

from envs.foreign.names import check_foreign

# name → where its class is; a new task is one file, one line here and one in envs/experts.
TASKS: dict[str, str] = {
    "pick_at_xy": "envs.tasks.pick_at_xy:PickAtXY",
    "place_left_of": "envs.tasks.place_left_of:PlaceLeftOf",
    "stack_centered": "envs.tasks.stack_centered:StackCentered",
    "navigate_to": "envs.tasks.navigate_to:NavigateTo",
}
RENDERINGS = ("fast", "exact")  # decimated meshes, or robosuite's own
LARGEST_PICTURE = 480  # pixels, square
# What may be changed for every episode, though no demonstration shows it: the light; the scene camera's place and direction; more things on the table.
PERTURBATIONS = ("light", "camera", "distractors")


def check_task(task: str, field: str = "task") -> str:
    """`task` itself if there is such a task: in `TASKS`, or elsewhere. Imports no simulator. Raises BadInput."""
    return task if task in TASKS else check_foreign(task, TASKS, field)
