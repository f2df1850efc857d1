"""Other colours, light and camera poses for play video, without touching the physics; and back again."""

from __future__ import annotations

import mujoco
import numpy as np

CHANGED = ("geom_rgba", "geom_matid", "mat_rgba", "light_pos", "light_diffuse", "light_ambient", "cam_pos", "cam_quat", "cam_fovy")
CAMERA_JITTER_M, HAND_JITTER_M, CAMERA_JITTER_RAD = 0.04, 0.006, 0.04
HAND = "eye_in_hand"
ROBOT = ("robot", "gripper", "mobilebase")  # how robosuite begins the names of a robot's bodies


class Looks:
    """The looks of one model: `vary` draws new ones, `restore` brings back the task's own."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.own = {name: getattr(model, name).copy() for name in CHANGED}
        loose = {int(body) for body in model.jnt_bodyid if not model.body(body).name.startswith(ROBOT)}
        self.objects = [[g for g in range(model.ngeom) if model.geom_bodyid[g] == body and not model.geom_contype[g]] for body in sorted(loose)]

    def restore(self) -> None:
        for name, value in self.own.items():
            getattr(self.model, name)[:] = value

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
            model.cam_pos[index] += rng.uniform(-jitter, jitter, 3)
            turned, small = np.empty(4), np.append(1.0, rng.uniform(-CAMERA_JITTER_RAD, CAMERA_JITTER_RAD, 3) / 2)
            mujoco.mju_mulQuat(turned, model.cam_quat[index], small / np.linalg.norm(small))
            model.cam_quat[index] = turned
        model.cam_fovy[:] *= rng.uniform(0.94, 1.06, model.ncam)
