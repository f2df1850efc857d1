"""Visual meshes with a fraction of their triangles: drawing in software is bound by triangles, and these have far more than pixels."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import mujoco
import numpy as np

from whatwhere.arrays import write_npz
from whatwhere.errors import BadInput
from whatwhere.look import look

VERSION = "1"  # part of the cache's key: change it with the method below
KEPT = 0.15  # share of the triangles; with 0.1 some links differ in more than 5 % of their pixels
FEWEST = 800  # triangles that are never too many: the fingers have 624 and are close to the wrist camera
WELDS = (0.0, 1e-3, 3e-3, 5e-3, 8e-3)  # of a mesh's size: loose triangles, as in the pedestal, are welded until they can be decimated
ENOUGH = 1.6  # times the target: no coarser weld is tried
CREASE_COS = 0.7  # triangles that meet at more than 45° keep an edge in their shading


def cache_dir() -> Path:
    """$WHATWHERE_CACHE, else the platform's cache folder, else (where those cannot be written) a folder of this user's among the temporary ones."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    given = os.environ.get("WHATWHERE_CACHE")
    temporary = Path(tempfile.gettempdir()) / f"whatwhere-{os.getuid()}"
    for folder in (Path(given) if given else Path(home) / "whatwhere", temporary):
        if is_writable(folder) and (folder != temporary or folder.stat().st_uid == os.getuid()):
            return folder  # compiled code is read from here: not from what somebody else put in /tmp
    return Path(tempfile.mkdtemp(prefix="whatwhere-"))


def is_writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made if it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, ValueError):  # ValueError: no path at all
        return False


def decimate(model: mujoco.MjModel) -> None:
    """Puts decimated meshes in place of those of `model` (a copy made for drawing only): fewer faces, same frame, same ids."""
    for mesh in range(model.nmesh):
        model.mesh_graphadr[mesh] = -1  # no convex hulls on the graphics card
        if model.mesh_facenum[mesh] <= FEWEST or _is_textured(model, mesh):
            continue
        _replace(model, mesh, *_decimated(*_triangles(model, mesh)))


def _is_textured(model: mujoco.MjModel, mesh: int) -> bool:
    """Whether some geom draws this mesh with a texture: decimation would tear its coordinates."""
    if model.mesh_texcoordadr[mesh] < 0:
        return False
    geoms = (model.geom_type == mujoco.mjtGeom.mjGEOM_MESH) & (model.geom_dataid == mesh) & (model.geom_matid >= 0)
    return bool((model.mat_texid[model.geom_matid[geoms]] >= 0).any())


def _triangles(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and faces (m, 3) of one mesh, in its own frame."""
    vertex, face = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
    return model.mesh_vert[vertex : vertex + model.mesh_vertnum[mesh]].copy(), model.mesh_face[face : face + model.mesh_facenum[mesh]].copy()


def _decimated(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (n, 3), faces (m, 3), normals (k, 3) and the normal of each corner (m, 3), from the cache if they are there."""
    key = hashlib.sha256(repr((VERSION, KEPT, FEWEST, WELDS, ENOUGH, CREASE_COS)).encode() + vertices.tobytes() + faces.tobytes()).hexdigest()[:32]
    path = cache_dir() / "meshes" / f"{key}.npz"
    names = ("vertices", "faces", "normals", "corners")
    with contextlib.suppress(BadInput, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        look(path, "array")
        with np.load(path, allow_pickle=False) as stored:
            return tuple(stored[name] for name in names)  # type: ignore[return-value]
    result = _simplify(vertices, faces)  # it was not there, or damaged
    with contextlib.suppress(OSError):  # a full disk costs the time again, no more
        write_npz(path, **dict(zip(names, result, strict=True)))
    return result


def _simplify(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    import fast_simplification

    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    target = max(FEWEST, int(KEPT * len(faces)))
    points, smaller = vertices, faces
    for weld in WELDS:
        points, smaller = _welded(vertices, faces, weld * size)
        if len(smaller) > target:
            # low aggressiveness and kept borders: open edges and thin parts would shrink or tear otherwise
            found = fast_simplification.simplify(points, smaller, target_count=target, agg=2.0, preserve_border=True)
            points, smaller = (np.ascontiguousarray(part, kind) for part, kind in zip(found, (np.float32, np.int32), strict=True))
        if len(smaller) <= ENOUGH * target:
            break
    normals, corners = _normals(points, smaller)
    return points, smaller, normals, corners


def _welded(vertices: np.ndarray, faces: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """One vertex for all within `tolerance` (m) of each other, without the triangles that this flattens or doubles."""
    places = np.round(vertices / tolerance) if tolerance else vertices
    _, first, index = np.unique(places, axis=0, return_index=True, return_inverse=True)
    welded = index.reshape(-1)[faces]
    welded = welded[(welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])]
    _, kept = np.unique(np.sort(welded, axis=1), axis=0, return_index=True)
    return np.ascontiguousarray(vertices[first], np.float32), np.ascontiguousarray(welded[np.sort(kept)], np.int32)


def _normals(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (k, 3) and each corner's index (m, 3): the mean, by area, of the triangles around its vertex within the crease angle."""
    a, b, c = (points[faces[:, i]].astype(np.float64) for i in range(3))
    weighted = np.cross(b - a, c - a)  # (m, 3), as long as twice the area
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-30)
    vertex = faces.reshape(-1)  # (3m,) one entry a corner
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(points))
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    many = count[vertex]
    corner = np.repeat(np.arange(len(vertex)), many)  # every (corner, triangle around its vertex)
    nth = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    other = order[np.repeat(start[vertex], many) + nth] // 3
    near = (unit[corner // 3] * unit[other]).sum(axis=1) >= CREASE_COS
    normals = np.zeros((len(vertex), 3))
    np.add.at(normals, corner[near], weighted[other[near]])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-20, normals / np.maximum(length, 1e-30), (0.0, 0.0, 1.0)).astype(np.float32)
    normals, index = np.unique(normals, axis=0, return_inverse=True)
    return normals, index.reshape(-1, 3).astype(np.int32)


def _replace(model: mujoco.MjModel, mesh: int, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, corners: np.ndarray) -> None:
    """Writes a smaller mesh into the room that the larger one has in the model; leaves it alone if there is not enough."""
    if len(vertices) > model.mesh_vertnum[mesh] or len(faces) > model.mesh_facenum[mesh] or len(normals) > model.mesh_normalnum[mesh]:
        return
    vertex, face, normal = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh], model.mesh_normaladr[mesh]
    model.mesh_vert[vertex : vertex + len(vertices)] = vertices
    model.mesh_face[face : face + len(faces)] = faces
    model.mesh_normal[normal : normal + len(normals)] = normals
    model.mesh_facenormal[face : face + len(faces)] = corners
    model.mesh_vertnum[mesh], model.mesh_facenum[mesh], model.mesh_normalnum[mesh] = len(vertices), len(faces), len(normals)
    model.mesh_texcoordadr[mesh] = -1
