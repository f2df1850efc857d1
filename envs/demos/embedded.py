"""The model's XML that others put into their files: checked and loaded only where the user asks for it (`draw=` of `envs.demos.convert`).

Only elements that describe a scene are let through: no include, no plugin, nothing that multiplies, and no file but meshes and textures of the installed
robosuite's asset folder.
"""

from __future__ import annotations

import importlib.util
import io
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import BadInput

MAX_DEPTH, MAX_TEXTURE, MAX_PIXELS = 100, 4096, 1 << 26  # the last of all textures together
MAX_ASSETS, MAX_ATTRIBUTE = 256 << 20, 100_000  # bytes of all meshes and pictures; characters
MOST = {"texture": 64, "mesh": 512, "camera": 64, "light": 64, "key": 16, "joint": 2000, "freejoint": 2000, "numeric": 64}  # robosuite's largest have a fifth
MAX_ELEMENTS = 20_000
LARGEST = {"nsample": 100, "num": 100, "nchannel": 4, "maxhullvert": 10_000}  # attributes by which a few letters make a large model
FORGOTTEN = ("meshdir", "texturedir", "assetdir", "content_type")  # where relative paths begin: here none are; what a file is, its name says
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
    elements = ET.iterparse(io.BytesIO(xml.encode()), events=("start",))
    try:
        for number, _ in enumerate(elements):
            if number >= MAX_ELEMENTS:
                raise BadInput(f"{where}: the model has more than {MAX_ELEMENTS} elements; it is not read")
    except ET.ParseError as error:
        raise BadInput(f"{where}: the model is not XML ({error})") from None
    root: Any = elements.root  # type: ignore[attr-defined]
    _check_numbers(root, where)
    files: list[Path] = []
    _check(root, where, _assets(), files, depth=0)
    if (size := sum(file.stat().st_size for file in files)) > MAX_ASSETS:
        raise BadInput(f"{where}: the model's {len(files)} meshes and pictures have {size} bytes; at most {MAX_ASSETS}")
    return ET.tostring(root, encoding="unicode")


def _check_numbers(root: Any, where: str) -> None:
    """Raises BadInput for more things of a kind, or larger textures, than a scene has."""
    found = Counter(element.tag for element in root.iter())
    for tag, most in MOST.items():
        if found[tag] > most:
            raise BadInput(f"{where}: the model has {found[tag]} times <{tag}>; at most {most}")
    pixels = sum(_whole(texture, "width", MAX_TEXTURE, where) * _whole(texture, "height", MAX_TEXTURE, where) for texture in root.iter("texture"))
    if pixels > MAX_PIXELS:
        raise BadInput(f"{where}: the model's textures have {pixels} pixels; at most {MAX_PIXELS}")


def _whole(element: Any, name: str, most: int, where: str) -> int:
    """A whole number among the attributes; 0 if it is not there."""
    value = element.get(name, "0")
    if not (value.isdecimal() and len(value) < 9 and int(value) <= most):
        raise BadInput(f"{where}: the model has a {element.tag} of {name}={value:.20}; at most {most}")
    return int(value)


def _check(element: Any, where: str, assets: Path, files: list[Path], depth: int) -> None:
    """Raises BadInput for what is no scene; what may be loaded is added to `files`."""
    if depth > MAX_DEPTH:
        raise BadInput(f"{where}: the model is nested deeper than {MAX_DEPTH}")
    if element.tag not in SCENE:
        raise BadInput(f"{where}: the model has <{element.tag!s:.40}>, which may load or make more than a scene; it is not read")
    for name in FORGOTTEN:
        element.attrib.pop(name, None)
    for name, value in element.attrib.items():
        if len(value) > MAX_ATTRIBUTE:
            raise BadInput(f"{where}: the model has a {element.tag} with {len(value)} characters of {name}; at most {MAX_ATTRIBUTE}")
        if name in ("offwidth", "offheight"):
            element.set(name, "640")
        elif name in LARGEST or (element.tag, name) == ("numeric", "size"):
            _whole(element, name, LARGEST.get(name, 1000), where)
        elif name.startswith("file") or value.lower().endswith(SUFFIXES):
            files.append(_asset(value, where, assets))
            element.set(name, str(files[-1]))
        elif name in ("plugin", "instance") or (element.tag, name) == ("mesh", "builtin"):
            raise BadInput(f"{where}: the model uses a plugin or a mesh that is made by the program ({value:.40}); it is not read")
    for child in list(element):
        if child.tag in DROPPED:
            element.remove(child)
        else:
            _check(child, where, assets, files, depth + 1)


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
        self.cameras, self.size, self.where, self._mujoco = cameras, size, where, mujoco

    def draw(self, states: np.ndarray) -> np.ndarray:
        """States (t, 1 + nq + nv): time, qpos, qvel → frames (t, cameras, size, size, 3) uint8."""
        nq, nv = self.model.nq, self.model.nv
        if states.shape[1] != 1 + nq + nv:
            raise BadInput(f"{self.where}: states have {states.shape[1]} numbers, the model's have {1 + nq + nv}")
        frames = np.empty((len(states), len(self.cameras), self.size, self.size, 3), np.uint8)
        for step, state in enumerate(states):
            self.data.qpos[:], self.data.qvel[:] = state[1 : 1 + nq], state[1 + nq :]
            for place in (self._mujoco.mj_kinematics, self._mujoco.mj_comPos, self._mujoco.mj_camlight, self._mujoco.mj_tendon):
                place(self.model, self.data)  # what is drawn; no contacts, which a model can make any number of
            for i, camera in enumerate(self.cameras):
                frames[step, i] = self.renderer.draw(self.data, camera, self.size, self.size)
        return frames

    def close(self) -> None:
        self.renderer.close()
