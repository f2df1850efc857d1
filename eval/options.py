"""What options of tasks and pictures may be, as `envs.options` says it: `envs` brings gymnasium, and commands that only read rows start without it."""

from __future__ import annotations

from typing import Annotated

from whatwhere.kinds import Like

TASKS = "pick_at_xy, place_left_of, stack_centered, navigate_to"

Task = Annotated[str, Like("envs.options:Task", f"{TASKS}, robosuite/NAME, gymnasium/ID, module:Class")]
OurTask = Annotated[str, Like("envs.options:OurTask", TASKS.replace(", nav", " or nav"))]
Version = Annotated[int, Like("envs.options:Version", "at least 0, at most 1")]
Split = Annotated[str, Like("envs.options:Split", "train, unseen_pairs or unseen_words")]
Expert = Annotated[str, Like("envs.options:Expert", "module:Class")]
Rendering = Annotated[str, Like("envs.options:Rendering", "fast or exact")]
Perturbation = Annotated[str, Like("envs.options:Perturbation", "light, camera or distractors")]
Latency = Annotated[int, Like("envs.options:Latency", "at least 0, at most 100")]
PlayedMotion = Annotated[str, Like("envs.options:PlayedMotion", "still, moving, which, was_moved, conveyor or nudged")]
CmPerS = Annotated[float, Like("envs.options:CmPerS", "at least 1, at most 60")]
Pixels = Annotated[int, Like("envs.options:Pixels", "at least 16, at most 480")]
