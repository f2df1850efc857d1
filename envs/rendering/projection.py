"""Where points of the world are in a camera's picture."""

from __future__ import annotations

import mujoco
import numpy as np


def projected(model: mujoco.MjModel, data: mujoco.MjData, camera: str, points_world: np.ndarray, height: int, width: int) -> np.ndarray:
    """(n, 2) column, row of points (n, 3) in metres; nan behind the camera. Needs the camera's present pose in `data` (`mj_camlight`)."""
    index = model.camera(camera).id
    seen = (np.atleast_2d(points_world) - data.cam_xpos[index]) @ data.cam_xmat[index].reshape(3, 3)  # x right, y up, −z ahead
    focal = height / 2 / np.tan(np.deg2rad(model.cam_fovy[index]) / 2)
    ahead = np.where(seen[:, 2] < 0, -seen[:, 2], np.nan)
    return np.stack([width / 2 + focal * seen[:, 0] / ahead, height / 2 - focal * seen[:, 1] / ahead], axis=1)
