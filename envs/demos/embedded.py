"""The model's XML that others put into their files: checked and loaded only where the user asks for it (`draw=` of `envs.demos.convert`).

Only elements that describe a scene are let through: no include, no plugin, nothing that multiplies, and no file but meshes and textures of the installed
robosuite's asset folder.
"""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import BadInput

MAX_DEPTH, MAX_TEXTURE = 100, 4096
FOLDERS = ("meshdir", "texturedir", "assetdir")  # where relative paths begin: here none are
SUFFIXES = (".stl", ".obj", ".msh", ".png")
DROPPED = ("size", "quality")  # sizes of buffers: MuJoCo's own are enough
SCENE = """
mujoco compiler option flag size visual global headlight map scale rgba quality statistic default asset texture material mesh worldbody body frame
inertial joint freejoint geom site camera light contact pair exclude equality connect weld tendon fixed spatial actuator motor position velocity
general damper cylinder intvelocity sensor touch accelerometer velocimeter gyro force torque magnetometer rangefinder jointpos jointvel tendonpos
tendonvel actuatorpos actuatorvel actuatorfrc ballquat ballangvel framepos framequat framexaxis frameyaxis framezaxis framelinvel frameangvel
framelinacc frameangacc subtreecom subtreelinvel subtreeangmom keyframe key custom numeric text tuple element collision
""".split()  # noqa: SIM905


def checked(xml: str, where: str) -> str:
    """The same model with nothing in it but a scene, and with absolute paths into robosuite's assets. Imports no simulator. Raises BadInput."""
    if "<!" in xml.replace("<!--", ""):
        raise BadInput(f"{where}: the model declares a document type or entities; only plain elements are read")
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        raise BadInput(f"{where}: the model is not XML ({error})") from None
    assets = _assets()
    _check(root, where, assets, depth=0)
    return ET.tostring(root, encoding="unicode")


def _check(element: Any, where: str, assets: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadInput(f"{where}: the model is nested deeper than {MAX_DEPTH}")
    if element.tag not in SCENE:
        raise BadInput(f"{where}: the model has <{element.tag!s:.40}>, which may load or make more than a scene; it is not read")
    for folder in FOLDERS:
        element.attrib.pop(folder, None)
    for name, value in element.attrib.items():
        if name in ("offwidth", "offheight"):
            element.set(name, "640")
        elif element.tag == "texture" and name in ("width", "height") and not (value.isdecimal() and len(value) < 6 and int(value) <= MAX_TEXTURE):
            raise BadInput(f"{where}: the model has a texture of {name}={value:.20}; at most {MAX_TEXTURE}")
        elif name.startswith("file") or value.lower().endswith(SUFFIXES):
            element.set(name, str(_asset(value, where, assets)))
        elif name in ("plugin", "instance"):
            raise BadInput(f"{where}: the model uses a plugin ({value:.40}); it is not read")
    for child in list(element):
        if child.tag in DROPPED:
            element.remove(child)
        else:
            _check(child, where, assets, depth + 1)


def _asset(value: str, where: str, assets: Path) -> Path:
    """The file in robosuite's asset folder that a path of another machine means: what follows its last `models/assets`."""
    _, found, rest = value.replace("\\", "/").rpartition("models/assets/")
    path = (assets / rest).resolve()
    if not found or not path.is_relative_to(assets) or path.suffix.lower() not in SUFFIXES or not path.is_file():
        raise BadInput(f"{where}: the model names {value:.80}, which is not in robosuite's asset folder; it is not read")
    return path


def _assets() -> Path:
    spec = importlib.util.find_spec("robosuite")
    if spec is None or spec.origin is None:
        raise BadInput("draw: needs robosuite, whose meshes the models name")
    return (Path(spec.origin).parent / "models/assets").resolve()


class Drawer:
    """Draws states with a model out of a file. Raises BadInput if the model is not let through, or has no such camera."""

    def __init__(self, xml: str, cameras: Sequence[str], size: int, where: str) -> None:
        scene = checked(xml, where)
        from envs.rendering import prepare_gl

        prepare_gl()
        import mujoco

        from envs.rendering import Renderer

        try:
            self.model = mujoco.MjModel.from_xml_string(scene)
        except ValueError as error:
            raise BadInput(f"{where}: MuJoCo does not accept the model ({' '.join(str(error).split())[:160]})") from None
        self.data, self.renderer = mujoco.MjData(self.model), Renderer(self.model, "exact")
        self.cameras, self.size, self.where, self._forward = cameras, size, where, mujoco.mj_forward

    def draw(self, states: np.ndarray) -> np.ndarray:
        """States (t, 1 + nq + nv): time, qpos, qvel → frames (t, cameras, size, size, 3) uint8."""
        nq, nv = self.model.nq, self.model.nv
        if states.shape[1] != 1 + nq + nv:
            raise BadInput(f"{self.where}: states have {states.shape[1]} numbers, the model's have {1 + nq + nv}")
        frames = np.empty((len(states), len(self.cameras), self.size, self.size, 3), np.uint8)
        for step, state in enumerate(states):
            self.data.qpos[:], self.data.qvel[:] = state[1 : 1 + nq], state[1 + nq :]
            self._forward(self.model, self.data)
            for i, camera in enumerate(self.cameras):
                frames[step, i] = self.renderer.draw(self.data, camera, self.size, self.size)
        return frames

    def close(self) -> None:
        self.renderer.close()
