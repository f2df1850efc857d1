"""Random scenes of a table task by kinematics alone: where objects and arm are, what they look like, and the two pictures."""

from __future__ import annotations

import colorsys

import mujoco
import numpy as np

from envs import task_class
from envs.language.things import COLOURS, OBJECTS, SPLITS
from envs.looks import Looks
from envs.rendering import Renderer, prepare_gl
from envs.rendering.projection import projected
from envs.robosuite_env import PHYSICS_ONLY
from envs.tasks.table import REGION_X_M, REGION_Y_M, TABLE_TOP_M
from envs.variety import MESHES, UNSEEN_COLOURS

MOTIONS = ("still", "arm", "slide", "carry")  # what differs between the two frames: nothing, the arm, the arm and the target, both together
SHARES = (0.3, 0.3, 0.2, 0.2)  # of `MOTIONS`
HOVER_M = (0.89, 1.12)  # height of the gripper where it holds nothing: over every object, and in the picture
BESIDE_M = 0.06  # how far outside the region it may be
NEAR_SHARE, NEAR_M, ABOVE_M = 0.5, 0.035, (0.0, 0.15)  # version 1: how often the hand is about to grasp one of the things, and how far from its centre it is
STEP_M = (0.01, 0.06)  # how far a thing moves between the two frames
CLEAR_M = 0.055  # between the centres of objects after one moved: they do not go through each other
TURN_RAD, TILT_RAD = 0.6, 0.15
LIFT_M = 0.06
LEAST_VISIBLE = 24 / 96**2  # share of the scene camera's picture that the target must fill: about a third of what an unhidden one does
AWAY_M = (2.0, 2.0, 0.1)  # where distractors lie that are not wanted
SAME_HUE, OTHER_HUE = 15 / 360, 45 / 360  # the target keeps its hue that closely, the others' hues are at least that far from it
IK_STEPS, IK_DAMPING = 25, 1e-4


class Stage:
    """One task's model, a state of it, and the means to arrange and draw it.

    `target`: instead of the task's own a mesh, or a cube of a colour (envs.variety.TARGETS).
    """

    def __init__(self, task: str, size: int, rendering: str, distractors: bool, version: int = 0, split: str | None = None, target: str | None = None) -> None:
        prepare_gl()
        self.version, self.target, is_varied = version, target, target in MESHES
        more = {"split": split or SPLITS[0]} if version else {"target": target} if is_varied else {}
        self.task = task_class(task, version, is_varied)(control_freq=20, **PHYSICS_ONLY, **more)
        self.draws_looks = bool(version) or is_varied  # with each start
        self.task.rng.bit_generator.state = np.random.PCG64(0).state
        self.task.reset()
        self.size, self.distractors = size, distractors
        self.model: mujoco.MjModel = self.task.sim.model._model
        self.data = mujoco.MjData(self.model)
        self.home: np.ndarray = self.task.sim.data.qpos.copy()
        self.renderer, self.looks = Renderer(self.model, rendering), Looks(self.model)
        self.cameras: tuple[str, ...] = task_class(task).default_cameras
        self.site = self.task.robots[0].eef_site_id["right"]
        self.fingers = np.asarray(self.task.robots[0]._ref_gripper_joint_pos_indexes["right"])
        self.joints = np.asarray(self.task.robots[0]._ref_joint_pos_indexes)
        self.dofs = np.asarray(self.task.robots[0]._ref_joint_vel_indexes)
        self.places = [int(self.model.joint(f"{cube.name}_joint0").qposadr[0]) for cube in self.task.cubes]
        self.bodies = [self.model.body(f"{cube.name}_main").id for cube in self.task.cubes]
        self._see(self.home)
        self.hand_down = self.data.site_xmat[self.site].reshape(3, 3).copy()

    def close(self) -> None:
        self.renderer.close()
        self.task.close()

    def scene(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One scene, drawn again until the target can be seen (version 1: by any camera): pictures and labels, see `envs.demos.scenes`."""
        self._look(rng)
        while True:
            motion, states = self.arrange(rng)
            self._see(states[0])
            each = np.array([self.visible_of_each(camera) for camera in self.cameras], np.int32)  # (cameras, objects)
            visible = each[:, 0]
            if (visible.max() if self.version else visible[0]) >= LEAST_VISIBLE * self.size**2:
                break
        pictures, objects, gripper = [], [], []
        for state in states:
            if not pictures or motion:
                self._see(state)
                pictures.append(np.stack([self.renderer.draw(self.data, camera, self.size, self.size) for camera in self.cameras]))
            objects.append(self.data.xpos[self.bodies].astype(np.float32))
            gripper.append(self.data.site_xpos[self.site].astype(np.float32))
        return {
            **(self._named(states) | {"objects_visible": each} if self.version else {}),
            "frames": np.stack([pictures[0], pictures[-1]], axis=1),  # (cameras, 2, h, w, 3)
            "target_pos_world": np.stack(objects)[:, 0],
            "objects_pos_world": np.stack(objects)[:, : None if self.distractors else 1],
            "gripper_pos_world": np.stack(gripper),
            "visible_pixels": visible,
            "motion": np.array(motion, np.int32),
        }

    def _named(self, states: list[np.ndarray]) -> dict[str, np.ndarray]:
        """What the objects are, as numbers into `COLOURS` and `OBJECTS`, and where they are in both pictures of each camera."""
        things, pixels = self.task.draw.things, []
        for state in states:
            self._see(state)
            mujoco.mj_camlight(self.model, self.data)
            places = self.data.xpos[self.bodies]
            pixels.append([projected(self.model, self.data, camera, places, self.size, self.size) for camera in self.cameras])
        return {
            "colours": np.array([list(COLOURS).index(thing.colour) for thing in things], np.int32),
            "shapes": np.array([OBJECTS.index(thing.shape) for thing in things], np.int32),
            "objects_pixel": np.array(pixels, np.float32).swapaxes(0, 1),  # (cameras, 2, objects, 2)
        }

    # ---- where things are

    def arrange(self, rng: np.random.Generator) -> tuple[int, list[np.ndarray]]:
        """A number into `MOTIONS` and qpos (nq,) of both frames."""
        motion = int(rng.choice(len(MOTIONS), p=SHARES))
        name = MOTIONS[motion]
        start = list(self.task.sample_start(rng).values())  # the task's own: x, y, yaw of each
        if self.draws_looks:
            self.task.dress()
        before = [np.array([x, y, TABLE_TOP_M + self.task.half_height_m(cube.name), yaw]) for cube, (x, y, yaw) in zip(self.task.cubes, start, strict=True)]
        if name == "carry":
            hand, opening = before[0].copy(), self.task.half_width_m(self.task.cubes[0].name)
        else:
            x, y, z = (rng.uniform(low, high) for low, high in (wider(REGION_X_M), wider(REGION_Y_M), HOVER_M))
            if self.version and rng.random() < NEAR_SHARE:
                x, y, z = before[rng.integers(len(before))][:3] + [*rng.uniform(-NEAR_M, NEAR_M, 2), rng.uniform(*ABOVE_M)]
            hand, opening = np.array([x, y, z, rng.uniform(-TURN_RAD, TURN_RAD)]), rng.uniform(0, 0.04)
        tilt = rng.uniform(-TILT_RAD, TILT_RAD, 2) * (name != "carry")
        after, hand_after = [pose.copy() for pose in before], hand.copy()
        if name != "still":
            hand_after += self._step(rng, None)
        if name == "slide":
            after[0] += self._step(rng, before)
        if name == "carry":
            step = self._step(rng, before) + [0, 0, rng.uniform(0, LIFT_M), 0]
            after[0], hand_after = before[0] + step, hand + step
        first = self._state(before, hand, tilt, opening)
        return motion, [first, first if name == "still" else self._state(after, hand_after, tilt, opening)]

    def _step(self, rng: np.random.Generator, things: list[np.ndarray] | None) -> np.ndarray:
        """A way (x, y, z, yaw) for the hand, or for the first of `things` between the others."""
        while True:
            angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(*STEP_M)
            up, turn = (rng.uniform(-0.03, 0.03), rng.uniform(-0.2, 0.2)) if things is None else (0.0, rng.uniform(-0.3, 0.3))
            step = np.array([way * np.cos(angle), way * np.sin(angle), up, turn])
            if things is None or all(np.linalg.norm((things[0] + step - other)[:2]) > CLEAR_M for other in things[1:]):
                return step

    def _state(self, things: list[np.ndarray], hand: np.ndarray, tilt: np.ndarray, opening: float) -> np.ndarray:
        qpos = self.home.copy()
        for index, (place, (x, y, z, yaw)) in enumerate(zip(self.places, things, strict=True)):
            there = (x, y, z) if index == 0 or self.distractors else AWAY_M
            qpos[place : place + 7] = [*there, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        qpos[self.fingers] = [opening, -opening]
        return self._reached(qpos, hand[:3], _turned(float(tilt[0]), float(tilt[1]), float(hand[3])) @ self.hand_down)

    def _reached(self, qpos: np.ndarray, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """`qpos` with the arm's joints such that the gripper is there, or near it: damped least squares from the home pose."""
        jacobian = np.zeros((6, self.model.nv))
        self.data.qpos[:] = qpos
        for _ in range(IK_STEPS):
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_comPos(self.model, self.data)
            mujoco.mj_jacSite(self.model, self.data, jacobian[:3], jacobian[3:], self.site)
            found = self.data.site_xmat[self.site].reshape(3, 3)
            error = np.append(position - self.data.site_xpos[self.site], 0.5 * np.cross(found.T, rotation.T).sum(axis=0))
            if np.abs(error).max() < 1e-4:
                break
            arm = jacobian[:, self.dofs]
            self.data.qpos[self.joints] += arm.T @ np.linalg.solve(arm @ arm.T + IK_DAMPING * np.eye(6), error)
        return self.data.qpos.copy()

    # ---- what they look like

    def _look(self, rng: np.random.Generator) -> None:
        """Other colours, materials and light; the cameras stay, since a place in the picture must mean a place on the table."""
        self.looks.vary(rng)
        for name in ("cam_pos", "cam_quat", "cam_fovy"):
            getattr(self.model, name)[:] = self.looks.own[name]
        if self.draws_looks:
            return  # colours are those that the start draws
        own = colorsys.rgb_to_hsv(*self.task.cubes[0].rgba[:3])[0]
        hue = UNSEEN_COLOURS[self.target] / 360 if self.target in UNSEEN_COLOURS else own
        for index, body in enumerate(self.bodies):
            if not self.distractors and self.target is None:
                color = tuple(rng.uniform(0.05, 0.95, 3))
            elif index == 0:
                color = colorsys.hsv_to_rgb((hue + rng.uniform(-SAME_HUE, SAME_HUE)) % 1, rng.uniform(0.65, 1), rng.uniform(0.45, 1))
            else:
                color = colorsys.hsv_to_rgb((hue + rng.uniform(OTHER_HUE, 1 - OTHER_HUE)) % 1, rng.uniform(0, 1), rng.uniform(0.2, 1))
            self.model.geom_rgba[self._drawn(body)] = [*color, 1.0]

    def _drawn(self, body: int) -> list[int]:
        return [geom for geom in range(self.model.ngeom) if self.model.geom_bodyid[geom] == body and not self.model.geom_contype[geom]]

    def visible_of_each(self, camera: str) -> list[int]:
        """Pixels of each object."""
        ids = self.renderer.draw(self.data, camera, self.size, self.size, segmentation=True)
        return [int(np.isin(ids, self._drawn(body)).sum()) for body in self.bodies]

    def _see(self, qpos: np.ndarray) -> None:
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)


def wider(span: tuple[float, float]) -> tuple[float, float]:
    """Also a little outside."""
    return span[0] - BESIDE_M, span[1] + BESIDE_M


def _turned(x: float, y: float, z: float) -> np.ndarray:
    """Rotation matrix (3, 3): about x, then y, then the vertical."""
    quats = [np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)]) for angle, axis in zip((x, y, z), np.eye(3), strict=True)]
    total, matrix = quats[0], np.empty(9)
    for quat in quats[1:]:
        product = np.empty(4)
        mujoco.mju_mulQuat(product, quat, total)
        total = product
    mujoco.mju_quat2Mat(matrix, total)
    return matrix.reshape(3, 3)
