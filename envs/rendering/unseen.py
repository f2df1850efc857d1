"""Which geoms a camera cannot see: drawing in software takes as long for them as for the others.

A geom counts as its bounding box, a large mesh as many small ones. So what is left out is outside the pyramid of view, or behind the box that covers most of
the view (the legs of a table behind its top), for certain: the pixels are the same.
"""

from __future__ import annotations

import mujoco
import numpy as np

MARGIN, SLACK = 1.02, 0.003  # on half sizes, and in metres: OpenGL rounds corners to parts of a pixel
PART, WHOLE = 128, 3000  # triangles of a part of a mesh, and of a mesh that is not worth parting
LEAST_AREA = 0.05  # square metres of a box's largest face: what smaller ones hide is not worth looking for
_GEOM = mujoco.mjtGeom
# Of which numbers of `geom_size` the half sizes of a bounding box are made: along x, y and z, and one more that counts along z.
SIZES = {
    _GEOM.mjGEOM_SPHERE: (0, 0, 0),
    _GEOM.mjGEOM_CAPSULE: (0, 0, 1, 0),
    _GEOM.mjGEOM_ELLIPSOID: (0, 1, 2),
    _GEOM.mjGEOM_CYLINDER: (0, 0, 1),
    _GEOM.mjGEOM_BOX: (0, 1, 2),
}


class Unseen:
    """For one model; `drawn` are the ids of the geoms to be judged. `measure` is to be called first, and after a change of sizes or colours."""

    def __init__(self, model: mujoco.MjModel, drawn: np.ndarray) -> None:
        self._model = model
        ids = drawn[model.geom_type[drawn] != _GEOM.mjGEOM_PLANE]  # a plane has no end
        parts = [_parts(model, geom) for geom in ids]
        self._boxes = np.concatenate([*parts, np.zeros((0, 2, 3))])  # (n, 2, 3): middle and half sizes of each box in its geom's frame
        count = np.array([len(boxes) for boxes in parts], int)
        self._geom = np.repeat(ids, count)  # (n,) of each box
        self._ids, self._first = ids, np.cumsum(count) - count
        # One box each, so that it can be measured again when a geom has become a simple shape or a small mesh
        self._known = np.isin(model.geom_type[self._geom], [*SIZES, _GEOM.mjGEOM_MESH]) & (np.repeat(count, count) == 1)
        self._drawn = drawn

    def __call__(self, data: mujoco.MjData, camera: int, aspect: float) -> np.ndarray:
        """Ids of geoms that `camera` does not see in a picture `aspect` times as wide as high; none for a camera without ordinary perspective."""
        model, geom = self._model, self._geom
        if not len(geom) or model.cam_projection[camera] != mujoco.mjtProjection.mjPROJ_PERSPECTIVE or model.cam_sensorsize[camera].any():
            return self._ids[:0]
        axes = data.geom_xmat.reshape(-1, 3, 3)[geom]  # (n, 3, 3): columns are the axes of the boxes
        there = data.geom_xpos[geom] + (axes @ self._boxes[:, 0, :, None])[:, :, 0] - data.cam_xpos[camera]  # (n, 3)
        slope = np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
        # Outward normals of the pyramid's sides and of the camera's plane; x is right, y up, z backwards
        sides = np.array([[1, 0, slope * aspect], [-1, 0, slope * aspect], [0, 1, slope], [0, -1, slope], [0, 0, 1]])
        distance, reach = self._from_planes(sides @ data.cam_xmat[camera].reshape(3, 3).T, there, axes)
        outside = (distance > reach).any(axis=1)
        unseen = outside | self._behind(axes, there, outside)
        return self._ids[np.logical_and.reduceat(unseen, self._first)]

    def measure(self) -> None:
        """Looks at sizes and colours again."""
        model = self._model
        for row in np.flatnonzero(self._known):
            if model.geom_type[self._geom[row]] == _GEOM.mjGEOM_MESH:  # what was a simple shape may become a small mesh, and back
                self._boxes[row] = _parts(model, int(self._geom[row]))[0]
                continue
            one, two, three, *more = SIZES[model.geom_type[self._geom[row]]]
            self._boxes[row, 0] = 0
            size = model.geom_size[self._geom[row]]
            self._boxes[row, 1] = size[one], size[two], size[three] + size[more].sum()
        material = model.geom_matid
        opaque = model.geom_rgba[:, 3] == 1
        opaque &= (material < 0) | (model.mat_rgba[material, 3] == 1) if model.nmat else True
        self.clear = self._drawn[~opaque[self._drawn]]  # ids of geoms through which something may be seen
        half = np.sort(self._boxes[:, 1], axis=1)
        is_box = (model.geom_type[self._geom] == _GEOM.mjGEOM_BOX) & opaque[self._geom]
        self._area = np.where(is_box, 4 * half[:, 1] * half[:, 2], 0)  # of the largest face
        self._large = np.flatnonzero(self._area > LEAST_AREA)

    def _behind(self, axes: np.ndarray, there: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """Which boxes (n,) lie wholly in the shadow that one face of the opaque box that covers most of the view casts as seen from the camera."""
        model, nothing = self._model, np.zeros(len(outside), bool)
        large = self._large[~outside[self._large]]
        if not len(large):
            return nothing
        front = large[(self._area[large] / (there[large] ** 2).sum(axis=1)).argmax()]
        eye, half = -there[front] @ axes[front], self._boxes[front, 1]  # the camera in the box's frame
        face = int((np.abs(eye) - half).argmax())
        sign, height = np.sign(eye[face]), abs(eye[face]) - half[face]  # of the camera above that face
        if height < 2 * model.vis.map.znear * model.stat.extent:  # part of it may be cut off
            return nothing
        corners = np.zeros((4, 3))
        for axis, signs in (((face + 1) % 3, (1, -1, -1, 1)), ((face + 2) % 3, (1, 1, -1, -1))):
            corners[:, axis] = half[axis] * np.array(signs)
        corners[:, face] = sign * half[face]
        corners -= eye
        sides = np.cross(corners, np.roll(corners, -1, axis=0))
        sides *= -np.sign(sides @ corners.sum(axis=0))[:, None] / np.linalg.norm(sides, axis=1, keepdims=True)  # outwards
        planes = np.concatenate([sides, sign * np.eye(3)[face : face + 1]]) @ axes[front].T
        distance, reach = self._from_planes(planes, there, axes)
        return (distance + reach < [0, 0, 0, 0, -height]).all(axis=1)

    def _from_planes(self, normals: np.ndarray, there: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far above planes through the camera the middles of the boxes are, and how far the boxes reach: (n, k), in lengths of the `normals` (k, 3)."""
        return there @ normals.T, MARGIN * (np.abs(normals @ axes) @ self._boxes[:, 1, :, None])[:, :, 0] + SLACK


def _parts(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Middle and half sizes (parts, 2, 3) of boxes that hold all of a geom; a mesh is halved across its longest side until its parts are small."""
    if model.geom_type[geom] != _GEOM.mjGEOM_MESH:
        return np.array([[np.zeros(3), np.full(3, model.geom_rbound[geom])]])
    mesh = model.geom_dataid[geom]
    vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]].astype(float)
    triangles = vertices[model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]]  # (m, 3, 3)
    todo, boxes = [triangles], []
    while todo:
        some = todo.pop()
        low, high = some.min(axis=(0, 1)), some.max(axis=(0, 1))
        if len(some) <= PART or len(triangles) <= WHOLE:
            boxes.append([(low + high) / 2, (high - low) / 2])
        else:
            order = some.mean(axis=1)[:, (high - low).argmax()].argsort()
            todo += [some[order[: len(some) // 2]], some[order[len(some) // 2 :]]]
    return np.array(boxes)
