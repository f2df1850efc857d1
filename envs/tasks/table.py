"""What the table tasks share: a Panda at a table, coloured cubes, where they may start, cameras, what is read of the state.

World frame: x away from the robot, y to the robot's left, z up; the robot's base has the same axes. Metres and radians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from robosuite.models.arenas import TableArena
from robosuite.models.objects import BoxObject, CylinderObject
from robosuite.models.tasks import ManipulationTask

from envs.tasks.scored import ScoredTask

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

    def __init__(self, robots: str | Sequence[str] = "Panda", strangers: bool = False, **options: Any) -> None:
        self.own_cubes = self.cubes
        if strangers:
            self.cubes = (*self.cubes, *self.strangers)
        super().__init__(robots, **options)

    # ---- the scene

    def _load_model(self) -> None:
        super()._load_model()
        self.robots[0].robot_model.set_base_xpos(self.robots[0].robot_model.base_xpos_offset["table"](TABLE_SIZE_M[0]))
        arena = TableArena(table_full_size=TABLE_SIZE_M, table_offset=(0, 0, TABLE_TOP_M))
        arena.set_origin([0, 0, 0])
        quat = looking_at(SCENE_CAMERA_POS_M, SCENE_CAMERA_TARGET_M)
        arena.set_camera(SCENE_CAMERA, SCENE_CAMERA_POS_M, quat, {"fovy": str(SCENE_CAMERA_FOVY_DEG)})
        self.model = ManipulationTask(
            mujoco_arena=arena, mujoco_robots=[robot.robot_model for robot in self.robots], mujoco_objects=[cube.model() for cube in self.cubes]
        )

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
        strangers = self.cubes[len(self.own_cubes) :]
        margin = np.array([self.stranger_margin_m, self.stranger_margin_m, 0.0])
        while strangers:
            more = rng.uniform(low - margin, high + margin, size=(len(strangers), 3))
            if _apart(np.concatenate([poses, more])) and _apart(np.concatenate([self.goals(start), more])):
                return start | {cube.name: pose for cube, pose in zip(strangers, more, strict=True)}
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
            self.sim.data.set_joint_qpos(self._cube_joints[name], [x, y, TABLE_TOP_M + self._half_sizes[name], *quat])
        self.sim.data.qpos[self._fingers] = OPEN_FINGERS_M

    # ---- an episode's course

    def begin(self) -> None:
        """Clears what is remembered of an episode; called when the state was set anew.

        Makes the gripper's present opening its standing command, so that the zero action leaves it where it is.
        """
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
        return state


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
