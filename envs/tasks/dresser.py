"""How a body of a compiled model becomes another thing: the meshes and textures that the model holds for it, and what is set when it does.

Nothing is built anew: a body's two geoms (one that is drawn, one that collides) get another type, mesh, size and material, and the body the mass and inertia of
its bounding box.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from robosuite.models.arenas import Arena
from robosuite.utils.mjcf_utils import array_to_string, new_body, new_element, new_geom, xml_path_completion

from envs.variety import COLOURED, GREY, MESHES, OWN, PLAIN, TEXTURES, Item

_GEOM = mujoco.mjtGeom
TYPES = {"cube": _GEOM.mjGEOM_BOX, "box": _GEOM.mjGEOM_BOX, "ball": _GEOM.mjGEOM_SPHERE, "cylinder": _GEOM.mjGEOM_CYLINDER, "ellipsoid": _GEOM.mjGEOM_ELLIPSOID}
ROUND = ("ball", "ellipsoid", "lemon")  # contacts resist rolling, as in envs.tasks.objects
CONDIM, ROLLING_M = {True: 6, False: 3}, {True: 2e-3, False: 1e-4}
KG_PER_M3 = 600.0
REACH_M = 0.1  # no point of a thing is as far from its centre
RACK_M = (0.0, 0.0, -5.0)  # where the meshes that the model holds hang: under the floor, undrawn
PREFIX = "varied_"  # of names in the model


def stock(arena: Arena) -> None:
    """Adds meshes, textures and materials to the XML of a scene.

    The compiler computes convex hulls only of meshes that collide, and the renderer decimates those without texture: so each hangs in a rack, where it
    meets nothing.
    """
    rack = new_body(name=f"{PREFIX}rack", pos=RACK_M)
    for name, sizes in MESHES.items():
        asset = ET.parse(xml_path_completion(f"objects/{name}.xml")).getroot().find("asset")
        assert asset is not None
        mesh, texture, material = (asset.find(kind) for kind in ("mesh", "texture", "material"))
        assert mesh is not None and texture is not None and material is not None
        kind = "2d" if texture.get("type") == "2d" else "cube"  # the bottle's is that of the sky
        arena.asset.append(new_element("texture", f"{PREFIX}tex_{name}", type=kind, file=_path(texture)))
        repeats = {key: material.get(key, "1 1" if key == "texrepeat" else "false") for key in ("texrepeat", "texuniform")}
        arena.asset.append(new_element("material", f"{PREFIX}{name}", texture=f"{PREFIX}tex_{name}", specular="0.3", **repeats))
        own = np.array([float(number) for number in mesh.get("scale", "1 1 1").split()])
        for grade, factor in enumerate(sizes):
            arena.asset.append(new_element("mesh", f"{PREFIX}{name}_{grade}", file=_path(mesh), scale=array_to_string(own * factor)))
            hung = {"mesh": f"{PREFIX}{name}_{grade}", "material": f"{PREFIX}{name}", "group": "0", "contype": "2", "conaffinity": "0"}
            rack.append(new_geom(name=f"{PREFIX}rack_{name}_{grade}", type="mesh", size=None, **hung))
    arena.worldbody.append(rack)
    for name in TEXTURES:
        arena.asset.append(_texture(name))
        arena.asset.append(new_element("material", f"{PREFIX}{name}", texture=f"{PREFIX}tex_{name}", specular="0.3"))


def _path(element: ET.Element) -> str:
    """Of a mesh or texture of robosuite's objects, whose paths are relative to that folder."""
    return xml_path_completion(f"objects/{element.get('file')}")


def _texture(name: str) -> ET.Element:
    if name in (*COLOURED, *GREY):
        return new_element("texture", f"{PREFIX}tex_{name}", type="cube", file=xml_path_completion(f"textures/{name}.png"))
    look = {"builtin": {"speckled": "flat"}.get(name, name), "rgb1": "1 1 1", "rgb2": "0.3 0.3 0.3", "width": "64", "height": "64"}
    if name == "speckled":
        look |= {"mark": "random", "markrgb": "0.2 0.2 0.2", "random": "0.15"}
    return new_element("texture", f"{PREFIX}tex_{name}", type="cube", **look)


@dataclass(frozen=True)
class Fit:
    """Of a thing that stands upright: from its centre down to what it stands on, and half its width where it is narrowest (m)."""

    down_m: float
    half_width_m: float


class Dresser:
    """For the `bodies` (ids) of one model, each with a free joint, and its table."""

    def __init__(self, model: mujoco.MjModel, bodies: Sequence[int], table: int) -> None:
        self.model, self.bodies, self.table = model, list(bodies), table
        self._table_own = model.material("table_ceramic").id  # not what it has: that may be of an earlier start
        for body in self.bodies:
            model.geom_sameframe[model.geom_bodyid == body] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE  # else `geom_quat` would be passed over
            first = model.body_bvhadr[body]  # boxes that hold whatever it becomes
            model.bvh_aabb[first : first + model.body_bvhnum[body]] = [0, 0, 0, REACH_M, REACH_M, REACH_M]

    def dress(self, items: Sequence[Item], table: str | None) -> list[Fit]:
        """Lets the bodies be these things, and the table have that texture."""
        self.model.geom_matid[self.table] = self._table_own if table is None else self.model.material(f"{PREFIX}{table}").id
        return [self._be(body, item) for body, item in zip(self.bodies, items, strict=True)]

    def _be(self, body: int, item: Item) -> Fit:
        model = self.model
        geoms = np.flatnonzero(model.geom_bodyid == body)
        if item.shape in TYPES:
            kind, mesh, half, middle, quat = TYPES[item.shape], -1, np.array(item.half_m), np.zeros(3), np.array([1.0, 0, 0, 0])
            size = np.array([half[0], half[2], 0.0]) if item.shape == "cylinder" else half
            corners = np.array([half, -half])
            reach = {"ball": half[0], "cylinder": np.hypot(half[0], half[2]), "ellipsoid": half.max()}.get(item.shape, np.linalg.norm(half))
        else:
            kind, mesh = _GEOM.mjGEOM_MESH, model.mesh(f"{PREFIX}{item.shape}_{item.grade}").id
            vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]].astype(float)
            low, high, quat = vertices.min(axis=0), vertices.max(axis=0), model.mesh_quat[mesh].copy()
            size = half = (high - low) / 2
            middle, corners = (high + low) / 2, vertices @ _matrix(quat).T  # as it stands
            reach = np.linalg.norm(vertices, axis=1).max()
        is_round = item.shape in ROUND
        model.geom_type[geoms], model.geom_dataid[geoms], model.geom_size[geoms] = kind, mesh, size
        model.geom_pos[geoms], model.geom_quat[geoms] = 0, quat
        model.geom_rbound[geoms], model.geom_aabb[geoms] = reach, [*middle, *half]
        model.geom_condim[geoms], model.geom_friction[geoms, 2] = CONDIM[is_round], ROLLING_M[is_round]
        drawn = geoms[model.geom_contype[geoms] == 0]
        look = item.shape if item.look == OWN else item.look
        model.geom_matid[drawn] = -1 if look == PLAIN else model.material(f"{PREFIX}{look}").id
        model.geom_rgba[drawn] = item.rgba
        stands = np.ptp(corners, axis=0) / 2
        self._weigh(body, stands)
        return Fit(float(-corners[:, 2].min()), float(stands[:2].min()))

    def _weigh(self, body: int, half: np.ndarray) -> None:
        """Mass, inertia and what the compiler computes from them, of an upright box of these half sizes (3,) m about its centre.

        Upright, since the compiler has noted that the inertia of these bodies has no turn of its own (`body_simple`).
        """
        model, mass = self.model, KG_PER_M3 * 8 * float(half.prod())
        inertia = mass / 3 * ((half**2).sum() - half**2)
        model.body_mass[body] = model.body_subtreemass[body] = mass
        model.body_inertia[body] = inertia
        model.body_invweight0[body] = [1 / mass, (1 / inertia).mean()]
        first = model.jnt_dofadr[model.body_jntadr[body]]
        model.dof_invweight0[first : first + 6] = [1 / mass] * 3 + [(1 / inertia).mean()] * 3
        model.dof_M0[first : first + 6] = [mass] * 3 + list(inertia)


def _matrix(quat: np.ndarray) -> np.ndarray:
    """(3, 3)."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)
