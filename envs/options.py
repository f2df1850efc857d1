"""What options of tasks, pictures and demonstrations may be, for the settings of every command that has them. Imports no simulator."""

from __future__ import annotations

from typing import Annotated

from envs.catalogue import LARGEST_PICTURE, LONGEST_LATENCY, PERTURBATIONS, RENDERINGS, TASKS, VERSIONS, check_task
from envs.foreign.names import WAYS, check_place
from envs.language.things import SPLITS
from envs.motion import MOTIONS, STILL
from envs.variety import TARGETS, THINGS
from whatwhere.kinds import Checked, Length, OneOf, Range, Text

Task = Annotated[str, Checked(check_task, f"{', '.join(TASKS)}, {WAYS}")]
OurTask = Annotated[str, OneOf(TASKS)]
Version = Annotated[int, Range(0, max(VERSIONS))]
Split = Annotated[str, OneOf(SPLITS)]
Expert = Annotated[str, Checked(check_place, "module:Class")]
Rendering = Annotated[str, OneOf(RENDERINGS)]
Perturbation = Annotated[str, OneOf(PERTURBATIONS)]
Things = Annotated[str, OneOf(THINGS)]
Target = Annotated[str, OneOf(TARGETS)]  # of probe scenes
Motion = Annotated[str, OneOf(MOTIONS)]
PlayedMotion = Annotated[str, OneOf(STILL, MOTIONS)]  # where nothing given means: as in training
CmPerS = Annotated[float, Range(1, 60)]
Speed = Annotated[tuple[CmPerS, ...], Length(2, 2)]  # cm/s, from … to; what a task bears: envs.motion
Pixels = Annotated[int, Range(16, LARGEST_PICTURE)]
ScaledPixels = Annotated[int, Range(16, 1024)]  # of pictures that no task draws
FramesApart = Annotated[int, Range(1, 1000)]  # control steps
Latency = Annotated[int, Range(0, LONGEST_LATENCY)]  # control steps
Horizon = Annotated[int, Range(1, 1_000_000)]  # control steps
Noise = Annotated[float, Range(0, 10)]  # of an action, whose numbers lie in [-1, 1]
Names = Annotated[tuple[Annotated[str, Text("a name", 200)], ...], Length(1, 100)]  # of cameras, or of observations
