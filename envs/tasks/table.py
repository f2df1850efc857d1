"""What the table tasks share: a Panda at a table, coloured cubes, where they may start, cameras, what is read of the state.

World frame: x away from the robot, y to the robot's left, z up; the robot's base has the same axes. Metres and radians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from robosuite.models.arenas import TableArena
from robosuite.models.objects import BoxObject, CylinderObject
from robosuite.models.tasks import ManipulationTask

from envs.motion import Motion
from envs.tasks.motion import Scale
from envs.tasks.moving import Moved
from envs.tasks.scored import ScoredTask, has_equals

TABLE_SIZE_M = (0.8, 0.8, 0.05)
TABLE_TOP_M = 0.8  # height of the table's surface

# Where cubes start: 32 × 32 cm, all of it within reach of a gripper that points down, and filling the scene camera's picture.
REGION_X_M = (-0.18, 0.14)
REGION_Y_M = (-0.16, 0.16)
YAW_RAD = 0.3
APART_M = 0.10  # between centres, so that open fingers (11 cm from outside to outside) come down beside one cube without touching another

# Left in the picture of the scene camera, which faces the robot; it is the robot's right.
LEFT_WORLD = (0.0, -1.0, 0.0)

SCENE_CAMERA = "agentview"
# robosuite's agentview, moved and narrowed: the region fills the picture (a cube is 8 pixels wide at 96), and the gripper is
# in it at the start, above every cube and while it lifts one.
SCENE_CAMERA_POS_M = (0.45, 0.0, 1.48)
SCENE_CAMERA_TARGET_M = (-0.034, 0.0, 0.868)
SCENE_CAMERA_FOVY_DEG = 33.5

# Things no demonstration shows (perturbation=distractors): in the region or up to 4 cm beside it, own cubes where they would lie anyway.
STRANGER_MARGIN_M = 0.04

SCALE = Scale(step_m=0.005, ahead_m=0.06, way_m=0.12, push_m=(0.03, 0.06), near_m=(0.07, 0.12), seen_m=0.008)

RED, GREEN, BLUE = (0.85, 0.08, 0.08, 1.0), (0.10, 0.65, 0.15, 1.0), (0.10, 0.25, 0.85, 1.0)
YELLOW, VIOLET = (0.90, 0.75, 0.10, 1.0), (0.50, 0.15, 0.65, 1.0)
OPEN_FINGERS_M = (0.04, -0.04)


@dataclass(frozen=True)
class Cube:
    """A cube of a task (or an upright cylinder): its name in the model, half its edge (m) and its colour."""

    name: str
    half_size: float
    rgba: tuple[float, float, float, float]
    is_round: bool = False

    def model(self) -> BoxObject | CylinderObject:
        if self.is_round:
            return CylinderObject(name=self.name, size=[self.half_size] * 2, rgba=self.rgba)
        return BoxObject(name=self.name, size=[self.half_size] * 3, rgba=self.rgba)


STRANGERS = (Cube("stranger_yellow", 0.022, YELLOW), Cube("stranger_violet", 0.02, VIOLET, is_round=True))


class TableTask(ScoredTask):
    """A robosuite environment with cubes on a table; a task adds cubes, an instruction, a start and what success means."""

    default_cameras = (SCENE_CAMERA, "robot0_eye_in_hand")
    scene_camera = SCENE_CAMERA
    action_names = ("x", "y", "z", "turn_x", "turn_y", "turn_z", "gripper")
    cubes: tuple[Cube, ...] = ()
    strangers = STRANGERS
    stranger_margin_m = STRANGER_MARGIN_M
    scale = SCALE

    def __init__(self, robots: str | Sequence[str] = "Panda", strangers: bool = False, motion: Motion | None = None, **options: Any) -> None:
        self.own_cubes, twins = with_twins(self.cubes) if has_equals(motion) else (self.cubes, ())
        self.cubes = (*self.own_cubes, *twins, *(self.strangers if strangers else ()))
        super().__init__(robots, motion, **options)

    # ---- the scene

    def _load_model(self) -> None:
        super()._load_model()
        self.robots[0].robot_model.set_base_xpos(self.robots[0].robot_model.base_xpos_offset["table"](TABLE_SIZE_M[0]))
        arena = TableArena(table_full_size=TABLE_SIZE_M, table_offset=(0, 0, TABLE_TOP_M))
        arena.set_origin([0, 0, 0])
        quat = looking_at(SCENE_CAMERA_POS_M, SCENE_CAMERA_TARGET_M)
        arena.set_camera(SCENE_CAMERA, SCENE_CAMERA_POS_M, quat, {"fovy": str(SCENE_CAMERA_FOVY_DEG)})
        self.furnish(arena)
        self.model = ManipulationTask(
            mujoco_arena=arena, mujoco_robots=[robot.robot_model for robot in self.robots], mujoco_objects=[cube.model() for cube in self.cubes]
        )

    def furnish(self, arena: TableArena) -> None:
        """Adds to the scene's XML what a task needs besides table and cubes."""

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model._model
        self._bodies = {cube.name: model.body(f"{cube.name}_main").id for cube in self.cubes}
        self._cube_joints = {cube.name: f"{cube.name}_joint0" for cube in self.cubes}
        self._half_sizes = {cube.name: cube.half_size for cube in self.cubes}
        self._base_body = model.body("robot0_base").id
        gripper = {name for geoms in self.robots[0].gripper["right"].important_geoms.values() for name in geoms}
        gripper |= set(self.robots[0].gripper["right"].contact_geoms)
        self._gripper_geoms = frozenset(model.geom(name).id for name in gripper)
        self._fingers = np.array(self.robots[0]._ref_gripper_joint_pos_indexes["right"])

    # ---- an episode's start

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """(x, y, yaw) for each cube, uniform over the region and `APART_M` apart, drawn again until `is_allowed`."""
        low = [REGION_X_M[0], REGION_Y_M[0], -YAW_RAD]
        high = [REGION_X_M[1], REGION_Y_M[1], YAW_RAD]
        while True:
            poses = rng.uniform(low, high, size=(len(self.own_cubes), 3))
            start = {cube.name: pose for cube, pose in zip(self.own_cubes, poses, strict=True)}
            if _apart(poses) and self.is_allowed(start):
                break
        added = self.cubes[len(self.own_cubes) :]
        margin = np.array([[self.stranger_margin_m * (cube in self.strangers)] * 2 + [0.0] for cube in added])
        while added:
            more = rng.uniform(low - margin, high + margin, size=(len(added), 3))
            if _apart(np.concatenate([poses, more])) and _apart(np.concatenate([self.goals(start), more])):
                return start | {cube.name: pose for cube, pose in zip(added, more, strict=True)}
        return start

    def is_allowed(self, start: dict[str, np.ndarray]) -> bool:
        """What a task asks of a start beyond the region and the gaps."""
        return True

    def goals(self, start: dict[str, np.ndarray]) -> np.ndarray:
        """(n, 3): x, y (m) and any yaw of places where something is to be put; strangers keep away from them."""
        return np.zeros((0, 3))

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        """Puts the cubes on the table and opens the gripper (half open, as robosuite leaves it, it looks as if it held a cube)."""
        for name, (x, y, yaw) in start.items():
            quat = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
            self.sim.data.set_joint_qpos(self._cube_joints[name], [x, y, TABLE_TOP_M + self.half_height_m(name), *quat])
        self.sim.data.qpos[self._fingers] = OPEN_FINGERS_M

    # ---- what moves by itself: the target, or on a conveyor everything

    def is_free(self, start: dict[str, np.ndarray]) -> bool:
        inside = np.array([start[cube.name][:2] for cube in self.cubes if cube not in self.strangers])
        low, high = zip(REGION_X_M, REGION_Y_M, strict=True)
        return bool(((low <= inside) & (inside <= high)).all()) and _apart(np.array(list(start.values()))) and self.is_allowed(start)

    def displaced(self, start: dict[str, np.ndarray], offset: np.ndarray) -> dict[str, np.ndarray]:
        return start | {name: start[name] + [*offset, 0.0] for name in self._moving_names()}

    def _moving_names(self) -> list[str]:
        everything = self.moving is not None and self.moving.motion.kind == "conveyor"
        return [cube.name for cube in (self.cubes if everything else self.cubes[:1])]

    def moved(self) -> Moved:
        model, names = self.sim.model._model, self._moving_names()
        joints = [model.joint(self._cube_joints[name]) for name in names]
        qpos, qvel = (np.array([address[0] for address in addresses]) for addresses in zip(*((j.qposadr, j.dofadr) for j in joints), strict=True))
        bodies = np.array([self._bodies[name] for name in names])
        places = np.array([self._start[name][:2] for name in names])
        return Moved(qpos[:, None] + [0, 1], qvel[:, None] + [0, 1], (qvel[:, None] + np.arange(6)).ravel(), bodies, places)

    def robot_touches(self) -> bool:
        """Whether anything but the table touches what moves; what the robot pushes against it is as good as the robot."""
        bodies = self.sim.model._model.geom_bodyid[self.sim.data._data.contact.geom]  # (n, 2)
        moving = np.isin(bodies, [self._bodies[name] for name in self._moving_names()])
        lying = self.sim.model._model.body_weldid[bodies] == 0
        return bool((moving.any(axis=1) & ~(moving | lying).all(axis=1)).any())

    def robot_distance_m(self) -> float:
        return float(np.linalg.norm(self.gripper_pos_world() - self.cube_pos_world(self.cubes[0].name)))

    # ---- an episode's course

    def begin(self) -> None:
        """Clears what is remembered of an episode; called when the state was set anew.

        Makes the gripper's present opening its standing command, so that the zero action leaves it where it is.
        """
        super().begin()
        middle, half_range = 0.02, 0.02
        left, right = self.sim.data.qpos[self._fingers]
        self.robots[0].gripper["right"].current_action = np.array([(left - middle) / half_range, (right + middle) / half_range])

    # ---- what is read of the state

    def gripper_pos_world(self) -> np.ndarray:
        """The point between the finger pads (3,)."""
        return self.sim.data.site_xpos[self.robots[0].eef_site_id["right"]].copy()

    def gripper_rot_world(self) -> np.ndarray:
        """Its axes as columns (3, 3); z points out of the hand, the fingers close along x."""
        return self.sim.data.site_xmat[self.robots[0].eef_site_id["right"]].reshape(3, 3).copy()

    def gripper_width_m(self) -> float:
        left, right = self.sim.data.qpos[self._fingers]
        return float(left - right)

    def half_height_m(self, name: str) -> float:
        """From the centre of a cube down to what it stands on."""
        return self._half_sizes[name]

    def half_width_m(self, name: str) -> float:
        """From the centre of a cube to the fingers that hold it."""
        return self._half_sizes[name]

    def cube_pos_world(self, name: str) -> np.ndarray:
        return self.sim.data.xpos[self._bodies[name]].copy()

    def cube_yaw(self, name: str) -> float:
        """Turn about the vertical, modulo a quarter turn: in [−π/4, π/4)."""
        matrix = self.sim.data.xmat[self._bodies[name]].reshape(3, 3)
        upright = int(np.argmax(np.abs(matrix[2])))  # the cube's axis that is most vertical; another one gives the yaw
        axis = matrix[:, (upright + 1) % 3]
        return float((np.arctan2(axis[1], axis[0]) + np.pi / 4) % (np.pi / 2) - np.pi / 4)

    def cube_velocity(self, name: str) -> np.ndarray:
        """Angular (3) and linear (3) velocity of the cube's centre, world frame."""
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self.sim.model._model, self.sim.data._data, mujoco.mjtObj.mjOBJ_BODY, self._bodies[name], velocity, 0)
        return velocity

    def is_released(self, name: str) -> bool:
        """Whether no part of the gripper touches the cube."""
        geom_body = self.sim.model._model.geom_bodyid
        for geom1, geom2 in self.sim.data._data.contact.geom:
            for gripper, other in ((geom1, geom2), (geom2, geom1)):
                if gripper in self._gripper_geoms and geom_body[other] == self._bodies[name]:
                    return False
        return True

    def proprio(self) -> np.ndarray:
        """(10,): gripper position in the robot base's frame (m), first two columns of its rotation matrix there, finger opening (m)."""
        base_pos, base_rot = self.sim.data.xpos[self._base_body], self.sim.data.xmat[self._base_body].reshape(3, 3)
        rotation = base_rot.T @ self.gripper_rot_world()
        return np.concatenate([base_rot.T @ (self.gripper_pos_world() - base_pos), rotation[:, 0], rotation[:, 1], [self.gripper_width_m()]])

    def privileged(self) -> dict[str, np.ndarray]:
        """For experts and metrics only: the gripper and each cube, and under `target` the cube that is to be moved."""
        state = {
            "gripper_pos_world": self.gripper_pos_world(),
            "gripper_rot_world": self.gripper_rot_world(),
            "gripper_width_m": np.array(self.gripper_width_m()),
            "target_pos_world": self.cube_pos_world(self.cubes[0].name),
            "target_yaw": np.array(self.cube_yaw(self.cubes[0].name)),
        }
        for cube in self.cubes[1:]:
            state[f"{cube.name}_pos_world"] = self.cube_pos_world(cube.name)
        return state | super().privileged()


def with_twins(cubes: tuple[Cube, ...]) -> tuple[tuple[Cube, ...], tuple[Cube, ...]]:
    """`cubes` with two more of the first one's look in the stead of distractors; and those for which there is none, to be added."""
    twins = [replace(cubes[0], name=f"twin_{number}") for number in (1, 2)]
    own = tuple(twins.pop(0) if cube.name.startswith("distractor") else cube for cube in cubes)
    return own, tuple(twins)


def _apart(poses: np.ndarray) -> bool:
    gaps = np.linalg.norm(poses[:, None, :2] - poses[None, :, :2], axis=-1) + 10 * np.eye(len(poses))
    return bool(gaps.min() >= APART_M)


def looking_at(position: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """Quaternion (w, x, y, z) of an upright camera at `position` that looks at `target`."""
    back = np.asarray(position, float) - np.asarray(target, float)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    return quat
