"""Draws a MuJoCo state from a camera, without touching the physics."""

from __future__ import annotations

import atexit
import contextlib
import copy
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import mujoco
import numpy as np

from envs.catalogue import RENDERINGS
from envs.rendering.backdrop import HIDDEN, Backdrop, Standing
from envs.rendering.context import Context
from envs.rendering.meshes import decimate
from envs.rendering.unseen import Unseen
from whatwhere.errors import choose

COLLISION = 0  # the geom group of robosuite's collision shapes

# What may change in the physics model while it runs, and must then show in the next picture.
FOLLOWED = (
    *("geom_type", "geom_dataid", "geom_rgba", "geom_matid", "geom_size", "geom_pos", "geom_quat", "geom_rbound", "mat_rgba"),
    *("site_rgba", "site_size", "site_pos", "site_quat"),
    *("body_pos", "body_quat", "cam_pos", "cam_quat", "cam_fovy", "cam_intrinsic", "cam_sensorsize"),
    *("light_pos", "light_dir", "light_diffuse", "light_ambient", "light_specular", "light_active"),
)


CLOSING_S = 10  # how long closing waits for another thread to finish its picture

_open: weakref.WeakSet[Renderer] = weakref.WeakSet()
_inherited: list[Any] = []  # of a process that this one was forked from: freeing it here would free what is ours


def _close_all() -> None:
    for renderer in list(_open):
        renderer.close()


class Renderer:
    """Pictures of the states of one model, for one thread at a time, whichever that is. OpenGL is first used for the first picture.

    `fast` draws decimated meshes without reflections, shadows and multi-sampling, and leaves out what the camera cannot see;
    `exact` draws what robosuite draws. Both have a model and a state of their own, with the same ids, so that drawing
    cannot change the physics; poses, colours, cameras and lights of the physics model are followed at each picture.
    """

    _gl: Context | None = None
    _context: Any = None  # MuJoCo's, with meshes, textures and the off-screen buffer

    def __init__(self, model: mujoco.MjModel, mode: str = "fast") -> None:
        self.mode = choose("rendering", mode, RENDERINGS)
        self._model = copy.copy(model)
        if mode == "fast":
            decimate(self._model)
            self._model.mat_reflectance[:] = 0  # a reflecting floor draws the scene twice
            self._model.light_castshadow[:] = False
            self._model.vis.quality.shadowsize = 0
            self._model.vis.quality.offsamples = 0
            self._model.vis.quality.numslices, self._model.vis.quality.numstacks = 24, 10  # of 28 and 16: each leg of the table has 1,800 triangles
        pairs = [(getattr(self._model, name), getattr(model, name)) for name in FOLLOWED]
        pairs += [(getattr(self._model.vis.headlight, name), getattr(model.vis.headlight, name)) for name in ("ambient", "diffuse", "specular")]
        self._followed = [(ours, theirs, theirs.copy()) for ours, theirs in pairs]  # and what they were when last looked at
        self._groups, self._site_groups = self._model.geom_group.copy(), self._model.site_group.copy()
        if mode == "fast":
            self._unseen, self._standing = Unseen(self._model, np.flatnonzero(self._groups != COLLISION)), Standing(self._model)
        self._backdrops: dict[tuple[int, int, int], Backdrop | None] = {}  # by camera, width and height; None: it was drawn once as it is now
        self._cameras = {model.camera(index).name: index for index in range(model.ncam)}
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[COLLISION] = 0
        self._perturb = mujoco.MjvPerturb()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._busy = threading.Lock()
        self._note_looks()

    def draw(self, data: mujoco.MjData, camera: str, height: int, width: int, *, segmentation: bool = False) -> np.ndarray:
        """The state in `data` seen by `camera`: uint8 (height, width, 3), upright.

        With `segmentation` int32 (height, width): the id of the geom in each pixel, −1 where there is none.
        Raises BadInput if there is no such camera, and in a process that was forked from one that had drawn; RuntimeError if another thread draws just now.
        """
        return self.views(data, (camera,), height, width, segmentation=segmentation)[0]

    def views(self, data: mujoco.MjData, cameras: Sequence[str], height: int, width: int, *, segmentation: bool = False) -> np.ndarray:
        """As `draw`, from several cameras: (cameras, height, width, 3), sooner than one after the other."""
        for camera in cameras:
            if camera not in self._cameras:
                choose("camera", camera, self._cameras)
        pixels = np.empty((len(cameras), height, width, 3), np.uint8)
        seen = np.empty(pixels.shape[:3], np.int32)
        with self._alone():
            self._option.sitegroup[:3] = 0 if segmentation else 1
            self._follow(data)
            with self._buffer(width, height).current():
                viewport = mujoco.MjrRect(0, 0, width, height)
                self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = self._scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = segmentation
                for index, camera in enumerate(cameras):
                    self._view(self._cameras[camera], viewport, pixels[index], whole=segmentation)
                    if segmentation:
                        seen[index] = self._geom_ids(pixels[index])
        return np.ascontiguousarray((seen if segmentation else pixels)[:, ::-1])  # OpenGL's first row is the lowest

    def _view(self, camera: int, viewport: mujoco.MjrRect, pixels: np.ndarray, whole: bool) -> None:
        """Draws what `camera` sees into `pixels`. Where it stands still, what stands still is drawn once (unless `whole`), and then what moves before it."""
        self._camera.fixedcamid = camera
        self._model.geom_group[:], self._model.site_group[:] = self._groups, self._site_groups
        if self.mode == "exact":
            return self._paint(viewport, pixels)
        unseen, key = self._unseen(self._data, camera, viewport.width / viewport.height), (camera, viewport.width, viewport.height)
        parted = not whole and self._all_sites_solid and self._standing.can_be_parted(camera, self._data) and not set(self._unseen.clear).difference(unseen)
        if not parted or key not in self._backdrops:
            self._backdrops |= {key: None} if parted else {}
            self._model.geom_group[unseen] = HIDDEN
            return self._paint(viewport, pixels)
        depth = np.empty(pixels.shape[:2], np.float32)
        backdrop = self._backdrops[key]
        if backdrop is None:
            self._show(~self._standing.geoms, ~self._standing.sites)
            self._paint(viewport, pixels, depth)
            backdrop = self._backdrops[key] = Backdrop(pixels.copy(), depth.copy())
        self._show(self._standing.geoms, self._standing.sites)
        self._model.geom_group[unseen] = HIDDEN
        self._paint(viewport, pixels, depth)
        backdrop.behind(pixels, depth)
        return None

    def _show(self, without: np.ndarray, without_sites: np.ndarray) -> None:
        """Sets the groups so that some geoms and sites are not drawn; sites without colour neither, which would leave their depth."""
        self._model.geom_group[:] = np.where(without, HIDDEN, self._groups)
        self._model.site_group[:] = np.where(without_sites | (self._model.site_rgba[:, 3] == 0), HIDDEN, self._site_groups)

    def _paint(self, viewport: mujoco.MjrRect, pixels: np.ndarray, depth: np.ndarray | None = None) -> None:
        mujoco.mjv_updateScene(self._model, self._data, self._option, self._perturb, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene)
        mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, depth, viewport, self._context)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("rendering: another thread is drawing with this environment; give each thread an environment of its own")
        try:
            yield
        finally:
            self._busy.release()

    def close(self) -> None:
        """Gives the OpenGL context back, after the picture that another thread draws."""
        if self._gl is None or not self._busy.acquire(timeout=CLOSING_S):
            return
        try:
            self._free()
        finally:
            self._busy.release()

    def __del__(self) -> None:
        self.close()

    def _free(self) -> None:
        if self._gl is None:
            return
        if self._gl.is_ours and self._context is not None:
            with self._gl.current():  # else the textures and meshes of another renderer would be freed
                self._context.free()
        elif self._context is not None:
            _inherited.append(self._context)
        self._gl.free()
        self._gl = self._context = None
        _open.discard(self)

    def _buffer(self, width: int, height: int) -> Context:
        """The context with an off-screen buffer that is large enough: a new one if need be. (All of a buffer is cleared for each picture, however small.)"""
        if self._gl is not None and self._context is not None and width <= self._context.offWidth and height <= self._context.offHeight:
            return self._gl
        before = (0, 0) if self._context is None else (self._context.offWidth, self._context.offHeight)
        self._free()
        width, height = max(width, before[0]), max(height, before[1])
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._gl = Context(width, height)
        with self._gl.current():
            self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
            self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR  # as it is kept: converted, different depths may become equal
        atexit.unregister(_close_all)
        atexit.register(_close_all)  # after the back-end has registered its own end, so as to run before it
        _open.add(self)
        return self._gl

    def _note_looks(self) -> None:
        """To be called when the model has got other colours, sizes, places."""
        np.maximum(self._model.site_rgba, 0, out=self._model.site_rgba)  # robosuite hides sites by a negative alpha, which MuJoCo draws, unseen
        self._backdrops.clear()
        if self.mode == "fast":
            self._unseen.measure()
            self._all_sites_solid = bool(np.isin(self._model.site_rgba[:, 3], (0, 1)).all())

    def _follow(self, data: mujoco.MjData) -> None:
        """Takes over state and looks, and computes where everything is."""
        changed = [(ours, theirs, last) for ours, theirs, last in self._followed if not np.array_equal(theirs, last)]
        for ours, theirs, last in changed:
            ours[:] = last[:] = theirs
        if changed:
            self._note_looks()
        self._data.qpos[:] = data.qpos
        if self._model.nmocap:
            self._data.mocap_pos[:], self._data.mocap_quat[:] = data.mocap_pos, data.mocap_quat
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)  # for cameras and lights that track a centre of mass
        mujoco.mj_camlight(self._model, self._data)
        if self._model.ntendon:
            mujoco.mj_tendon(self._model, self._data)

    def _geom_ids(self, pixels: np.ndarray) -> np.ndarray:
        colors = pixels.astype(np.int32) @ np.array([1, 256, 65536], np.int32)  # segid + 1, 0 for the background
        ids = np.full(self._scene.ngeom + 1, -1, np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                ids[geom.segid + 1] = geom.objid
        return ids[np.where(colors > self._scene.ngeom, 0, colors)]
