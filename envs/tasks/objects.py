"""Version 1 at the table: four things of two colours and two shapes, drawn anew for each start, of which the instruction names one or two.

One model serves all starts: each of its four bodies becomes cube, ball or cylinder by the type of its geoms, which are otherwise alike (half sizes of 2 cm, and
the mass and inertia of the cube), and gets its colour. Nothing is built anew, and no unused thing lies anywhere.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from envs.language.draws import NUM_THINGS, Draw, draw, numbers
from envs.language.things import OBJECTS
from envs.tasks.table import APART_M, Cube, TableTask

HALF_SIZE_M = 0.02
_GEOM = mujoco.mjtGeom
TYPES = {"cube": _GEOM.mjGEOM_BOX, "ball": _GEOM.mjGEOM_SPHERE, "cylinder": _GEOM.mjGEOM_CYLINDER}
XML_TYPES = {"cube": "box", "ball": "sphere", "cylinder": "cylinder"}
# Contacts of a ball resist rolling, as if it were slightly soft: it stays where it is put. Others have robosuite's own (sliding, turning, rolling).
CONDIM = {"cube": 3, "ball": 6, "cylinder": 3}
ROLLING_M = {"cube": 1e-4, "ball": 2e-3, "cylinder": 1e-4}
WHITE, BROWN = (0.95, 0.95, 0.95, 1.0), (0.35, 0.20, 0.10, 1.0)  # of perturbation=distractors: colours that no instruction names


class ObjectsTask(TableTask):
    """What version 1 of the table tasks shares; comes before the task of version 0 among the parents.

    `draw`: the things of this start, in the order of `cubes`, and its sentence. qpos does not hold them: they are a function of (task, version, seed,
    episode, split), so `reset` to a start comes before `set_state` to a state of it.
    """

    version = "1"
    task = ""
    strangers = (Cube("stranger_white", 0.022, WHITE), Cube("stranger_brown", 0.02, BROWN, is_round=True))
    stranger_margin_m = 0.10

    draw: Draw

    def __init__(self, robots: Any = "Panda", strangers: bool = False, split: str = "train", **options: Any) -> None:
        self.split = split
        super().__init__(robots, strangers, **options)

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model._model
        self._object_geoms = [np.flatnonzero(model.geom_bodyid == self._bodies[cube.name]) for cube in self.own_cubes]

    @property
    def instruction(self) -> str:  # type: ignore[override]
        return self.draw.sentence

    # ---- an episode's start

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        self.draw = draw(rng, self.task, self.split)
        return super().sample_start(rng)

    def is_allowed(self, start: dict[str, np.ndarray]) -> bool:
        """No other thing lies where the target is to be put."""
        others = np.array([pose for name, pose in start.items() if name not in ("target", "reference")])
        gaps = np.linalg.norm(self.goals(start)[:, None, :2] - others[None, :, :2], axis=-1)
        return bool((gaps >= APART_M).all()) and super().is_allowed(start)

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        self.dress()
        super().set_start(start)

    def dress(self) -> None:
        """Gives the bodies of the model shape and colour of `draw`."""
        model = self.sim.model._model
        for geoms, thing in zip(self._object_geoms, self.draw.things, strict=True):
            model.geom_type[geoms] = TYPES[thing.shape]
            model.geom_condim[geoms] = CONDIM[thing.shape]
            model.geom_friction[geoms, 2] = ROLLING_M[thing.shape]
            model.geom_rgba[geoms[model.geom_contype[geoms] == 0]] = thing.rgba  # those that are drawn

    def mean(self, order: Sequence[int]) -> None:
        """Lets the things be meant in another order. What is seen stays as it is, for bodies are alike: they change places, and looks."""
        data = self.sim.data
        joints = [self._cube_joints[cube.name] for cube in self.own_cubes]
        poses = [data.get_joint_qpos(joint).copy() for joint in joints]
        for joint, number in zip(joints, order, strict=True):
            data.set_joint_qpos(joint, poses[number])
        self.draw = self.draw.ordered(order)
        self.dress()

    def scene_numbers(self) -> list[np.ndarray]:
        """What a start sets besides joint positions, for its hash."""
        return [numbers(self.draw, OBJECTS)]

    def mark_xml(self, root: ET.Element) -> None:
        """Makes the XML of the scene, which shows cubes of no colour, that of this start."""
        for cube, thing in zip(self.own_cubes, self.draw.things, strict=True):
            for geom in root.findall(f".//body[@name='{cube.name}_main']/geom"):
                geom.set("type", XML_TYPES[thing.shape])
                geom.set("condim", str(CONDIM[thing.shape]))
                geom.set("friction", f"1 0.005 {ROLLING_M[thing.shape]}")
                if geom.get("contype") == "0":
                    geom.set("rgba", " ".join(map(str, thing.rgba)))

    # ---- what is read of the state

    def cube_yaw(self, name: str) -> float:
        """Of a thing that is round from above nothing: it is grasped at any turn alike."""
        shapes = {cube.name: thing.shape for cube, thing in zip(self.own_cubes, self.draw.things, strict=True)}
        return super().cube_yaw(name) if shapes.get(name, "cube") == "cube" else 0.0

    def privileged(self) -> dict[str, np.ndarray]:
        """Also the turn of every thing, so that an expert can be told to take another one (envs.experts.deaf)."""
        return super().privileged() | {f"{cube.name}_yaw": np.array(self.cube_yaw(cube.name)) for cube in self.own_cubes[1:]}


def things(*names: str) -> tuple[Cube, ...]:
    """The bodies of a task: those named and others; colour and shape come with the start."""
    others = [f"other_{number}" for number in range(1, NUM_THINGS + 1 - len(names))]
    return tuple(Cube(name, HALF_SIZE_M, (0.5, 0.5, 0.5, 1.0)) for name in (*names, *others))
