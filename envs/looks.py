"""Other colours, light and camera poses without touching the physics, and back again: for play video, and to see what a policy bears (`envs.PERTURBATIONS`)."""

from __future__ import annotations

import mujoco
import numpy as np

CHANGED = ("geom_rgba", "geom_matid", "mat_rgba", "light_pos", "light_diffuse", "light_ambient", "cam_pos", "cam_quat", "cam_fovy")
HEADLIGHT = ("diffuse", "ambient")
CAMERA_JITTER_M, HAND_JITTER_M, CAMERA_JITTER_RAD = 0.04, 0.006, 0.04
HAND = "eye_in_hand"
ROBOT = ("robot", "gripper", "mobilebase")  # how robosuite begins the names of a robot's bodies

MOVED_M, TURNED_RAD = 0.05, np.deg2rad(5)  # of perturbation=camera, at most, along and about each of the camera's axes
DARKEST, BRIGHTEST, WARM = 0.35, 1.25, 0.2  # of perturbation=light: factors of all light, and of each colour 1 ± WARM


class Looks:
    """The looks of one model: `vary`, `relight` and `move_camera` draw new ones, `restore` brings back the task's own."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.arrays = {name: getattr(model, name) for name in CHANGED} | {name: getattr(model.vis.headlight, name) for name in HEADLIGHT}
        self.own = {name: array.copy() for name, array in self.arrays.items()}
        loose = {int(body) for body in model.jnt_bodyid if not model.body(body).name.startswith(ROBOT)}
        self.objects = [[g for g in range(model.ngeom) if model.geom_bodyid[g] == body and not model.geom_contype[g]] for body in sorted(loose)]

    def restore(self, *names: str) -> None:
        """The task's own looks; of `names` alone, if some are given."""
        for name in names or self.own:
            self.arrays[name][:] = self.own[name]

    def vary(self, rng: np.random.Generator) -> None:
        """Colours of things that lie about, tints of every material, brightness and place of lights, pose and angle of cameras."""
        self.restore()
        model = self.model
        for geoms in self.objects:
            model.geom_matid[geoms] = -1
            model.geom_rgba[geoms] = [*rng.uniform(0.05, 0.95, 3), 1.0]
        tint = rng.uniform(0.3, 1.2, (model.nmat, 1)) * rng.uniform(0.7, 1.2, (model.nmat, 3))  # dark ones too: the light is strong
        model.mat_rgba[:, :3] = np.clip(model.mat_rgba[:, :3] * tint, 0, 1)
        model.light_pos[:] += rng.uniform(-0.8, 0.8, model.light_pos.shape)
        model.light_diffuse[:] *= rng.uniform(0.5, 1.3)
        model.light_ambient[:] = np.clip(model.light_ambient + rng.uniform(-0.1, 0.2), 0, 1)
        for index in range(model.ncam):
            jitter = HAND_JITTER_M if HAND in model.camera(index).name else CAMERA_JITTER_M
            self._move(index, rng, jitter, CAMERA_JITTER_RAD)
        model.cam_fovy[:] *= rng.uniform(0.94, 1.06, model.ncam)

    def relight(self, rng: np.random.Generator) -> None:
        """Brightness, colour and place of the lights."""
        self.restore("light_pos", "light_diffuse", "light_ambient", *HEADLIGHT)  # a start may have colours of its own
        model = self.model
        colour = rng.uniform(DARKEST, BRIGHTEST) * rng.uniform(1 - WARM, 1 + WARM, 3)
        model.light_pos[:] += rng.uniform(-0.8, 0.8, model.light_pos.shape)
        for name in ("light_diffuse", "light_ambient", *HEADLIGHT):
            self.arrays[name][:] = np.clip(self.arrays[name] * colour, 0, 1)

    def move_camera(self, camera: str, rng: np.random.Generator) -> None:
        """Place (± 5 cm) and direction (± 5°) of one camera."""
        self.restore("cam_pos", "cam_quat")
        self._move(self.model.camera(camera).id, rng, MOVED_M, TURNED_RAD)

    def _move(self, index: int, rng: np.random.Generator, metres: float, radians: float) -> None:
        model = self.model
        model.cam_pos[index] += rng.uniform(-metres, metres, 3)
        turned, small = np.empty(4), np.append(1.0, rng.uniform(-radians, radians, 3) / 2)
        mujoco.mju_mulQuat(turned, model.cam_quat[index], small / np.linalg.norm(small))
        model.cam_quat[index] = turned
