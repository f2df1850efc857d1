"""The robot's own state by robosuite's names (robot0_eef_pos, …), from recorded states and the model they are of: what other programs ask a file for.

Of the model only bodies, joints and sites are taken, by which MuJoCo's kinematics place the hand. Nothing else of it is loaded, and no file that it names.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import xml.etree.ElementTree as ET
from collections import deque
from typing import Any

import numpy as np

GRIP = re.compile(r"gripper(?P<robot>[0-9]+)_(?:(?P<arm>right|left)_)?grip_site")  # at the fingertips; robosuite 1.4 names no arm
SKELETON = {  # by element: the attributes that say where things are
    "compiler": ("angle", "eulerseq"),
    "default": ("class",),
    "worldbody": (),
    "body": ("name", "pos", "quat", "axisangle", "xyaxes", "zaxis", "euler", "childclass", "mocap"),
    "joint": ("name", "class", "type", "pos", "axis", "ref"),
    "freejoint": ("name",),
    "site": ("name", "class", "pos", "quat", "axisangle", "xyaxes", "zaxis", "euler"),
}
SCENERY = ("frame", "replicate", "attach", "composite", "flexcomp", "include")  # they move or multiply bodies: not followed
MAX_DEPTH, MAX_ELEMENTS = 100, 20_000


def robot_state(xml: str, states: np.ndarray) -> dict[str, np.ndarray]:
    """{name: (t, n) float64} of states (t, 1 + nq + nv); nothing where the model has no robot of robosuite's, or the states are of another model.

    For every arm as robosuite's observables have it: `eef_pos` (m, world), `eef_quat` (x y z w, of the hand's body, world), `gripper_qpos`; of a mobile base
    `base_pos`, `base_quat`, and the hand seen from it, `base_to_eef_pos`, `base_to_eef_quat`.
    """
    skeleton = _skeleton(xml)
    if skeleton is None or not any(GRIP.fullmatch(site.get("name", "")) for site in skeleton.iter("site")):
        return {}
    mujoco = _mujoco()
    try:
        model = mujoco.MjModel.from_xml_string(ET.tostring(skeleton, encoding="unicode"))
    except ValueError:
        return {}
    if states.shape[1] != 1 + model.nq + model.nv:
        return {}
    data, hands = mujoco.MjData(model), _hands(model)
    rows = []
    for state in states:
        data.qpos[:] = state[1 : 1 + model.nq]
        mujoco.mj_kinematics(model, data)
        rows.append({name: value for hand in hands for name, value in hand.seen(data).items()})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _mujoco() -> Any:
    """MuJoCo, whatever OpenGL is here: nothing is drawn, and its import fails where MUJOCO_GL names a back-end that is not there."""
    wish = os.environ.get("MUJOCO_GL")
    if "mujoco" not in sys.modules:
        os.environ["MUJOCO_GL"] = "disabled"
    try:
        return importlib.import_module("mujoco")
    finally:
        os.environ.pop("MUJOCO_GL", None)
        os.environ.update({} if wish is None else {"MUJOCO_GL": wish})


class _Hand:
    """One arm's hand, and the mobile base under it."""

    def __init__(self, model: Any, site: Any, robot: str, arm: str, prefix: str) -> None:
        self.site, self.prefix, self.arm_prefix = site.id, f"robot{robot}_", prefix
        body = int(model.site_bodyid[site.id])
        while body and not model.body(body).name.startswith(self.prefix):
            body = int(model.body_parentid[body])  # from the gripper up to what it is mounted on
        self.body = body
        mine = f"gripper{robot}_{arm}_" if arm else f"gripper{robot}_"
        self.fingers = [int(model.jnt_qposadr[i]) for i in range(model.njnt) if model.joint(i).name.startswith(mine)]
        centre = [i for i in range(model.nsite) if model.site(i).name == f"mobilebase{robot}_center"]
        self.base = centre[0] if centre else None

    def seen(self, data: Any) -> dict[str, np.ndarray]:
        robot, arm = self.prefix, self.arm_prefix
        position, quat = data.site_xpos[self.site].copy(), data.xquat[self.body][[1, 2, 3, 0]]
        seen = {f"{robot}{arm}eef_pos": position, f"{robot}{arm}eef_quat": quat}
        if self.fingers:
            seen[f"{robot}{arm}gripper_qpos"] = data.qpos[self.fingers]
        if self.base is not None:
            base, rotation = data.site_xpos[self.base], data.site_xmat[self.base].reshape(3, 3)
            turned = rotation.T @ data.xmat[self.body].reshape(3, 3)
            seen |= {f"{robot}base_pos": base.copy(), f"{robot}base_quat": _quat(rotation)}
            seen |= {f"{robot}base_to_{arm}eef_pos": rotation.T @ (position - base), f"{robot}base_to_{arm}eef_quat": _quat(turned)}
        return seen


def _hands(model: Any) -> list[_Hand]:
    found = [(model.site(i), match) for i in range(model.nsite) if (match := GRIP.fullmatch(model.site(i).name))]
    arms = [match["robot"] for _, match in found]
    return [_Hand(model, site, m["robot"], m["arm"] or "", f"{m['arm']}_" if arms.count(m["robot"]) > 1 else "") for site, m in found]


def _quat(matrix: np.ndarray) -> np.ndarray:
    """x y z w, w not negative: as robosuite makes them of matrices."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_quat(canonical=True)


def _skeleton(xml: str) -> ET.Element | None:
    """The model without all that has no part in where bodies are; None if that cannot be told."""
    if "<!" in xml.replace("<!--", ""):  # a document type may define entities that grow
        return None
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return None
    if any(element.tag in SCENERY for element in root.iter()):
        return None
    bare, left = ET.Element("mujoco"), MAX_ELEMENTS
    queue = deque((child, bare, 0) for child in root if child.tag in ("compiler", "default", "worldbody"))
    while queue:
        element, parent, depth = queue.popleft()
        if (left := left - 1) < 0 or depth > MAX_DEPTH:
            return None
        kept = ET.SubElement(parent, element.tag, {name: element.attrib[name] for name in SKELETON[element.tag] if name in element.attrib})
        queue += [(child, kept, depth + 1) for child in element if child.tag in SKELETON]
    ET.SubElement(bare, "compiler", boundmass="1", boundinertia="1")  # without shapes nothing has a weight, which no place depends on
    return bare
