"""What never moves before a camera that never moves: drawn once, and put behind the rest by its depth. The pixels are those of one drawing."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

HIDDEN = 5  # a group of geoms and sites that is never drawn
_FIXED = mujoco.mjtCamLight.mjCAMLIGHT_FIXED


@dataclass
class Backdrop:
    """Of one camera and size: colours (h, w, 3) and depth (h, w), larger is nearer."""

    pixels: np.ndarray
    depth: np.ndarray

    def behind(self, pixels: np.ndarray, depth: np.ndarray) -> None:
        """Puts this behind what was drawn without it, in place. Of equal depths what was drawn later counts: the moving; a depth of 0 is nothing."""
        np.copyto(pixels, self.pixels, where=((depth < self.depth) | (depth == 0))[:, :, None])


class Standing:
    """Which geoms, cameras and lights of a model stand still whatever its joints do."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        body = model.body_weldid == 0
        for index in range(1, model.nbody):  # parents come before their children
            body[index] &= model.body_mocapid[index] < 0 and body[model.body_parentid[index]]
        self.geoms, self.sites = body[model.geom_bodyid], body[model.site_bodyid]
        self.cameras = body[model.cam_bodyid] & (model.cam_mode == _FIXED)
        lights = (body[model.light_bodyid] & (model.light_mode == _FIXED)).all()
        self._planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        self._parts = bool(lights) and not (model.ntendon or model.nskin or model.nflex)  # those are drawn as one, with what moves and what does not

    def can_be_parted(self, camera: int, data: mujoco.MjData) -> bool:
        """Whether the picture of `camera` is made of what stands and what moves before it, if no colour shines through. (Planes do from below.)"""
        if not (self._parts and self.cameras[camera]):
            return False
        above = ((data.cam_xpos[camera] - data.geom_xpos[self._planes]) * data.geom_xmat[self._planes, 2::3]).sum(axis=1)
        return bool((above > 0).all())
