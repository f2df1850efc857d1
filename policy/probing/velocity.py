"""How fast and where to an object moves, and which of several does, read from frozen tokens at the object's place by a linear probe."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from policy.probing.ridge import gram, ridge
from policy.probing.scenes import camera_of, stored
from policy.probing.tokens import Features
from whatwhere.errors import BadInput

WINDOW = 1 / 4  # of the picture's edge: 3 of 12 patches
LEAST_CM_S = 4.0  # slower movements have no direction that counts
LEAST_VISIBLE = 24 / 96**2  # share of the picture, as scenes are drawn
MOST_ROWS = 4000  # objects that are fitted to: the time goes with the cube
WITHIN_DEG = 20


@dataclass(frozen=True)
class Drifts:
    """Pairs of pictures (t−k, t) from one camera in which one object drifts; those to fit come before the held-out ones. Places are of the later picture."""

    frames: UInt8[np.ndarray, "n 2 h w 3"]
    places: Float[np.ndarray, "n o 2"]  # x to the right, y down, from 0 to 1
    visible: Bool[np.ndarray, "n o"]
    cm_s: Float[np.ndarray, "n o 2"]  # along the table's x and y
    moving: Int[np.ndarray, " n"]  # which
    num_fit: int
    digest: str

    def __len__(self) -> int:
        return len(self.moving)

    @property
    def size(self) -> int:
        """Pixels of a picture's edge."""
        return int(self.frames.shape[2])


def read_drifts(folder: str | Path, fit: int | None = None, held_out: int | None = None, camera: str | None = None) -> Drifts:
    """The first `fit` and `held_out` scenes (None: all) of a folder that was drawn with moving=true, from `camera` (None: the first). Raises BadInput."""
    folder = Path(folder)
    names = ("objects_pos_world", "objects_place", "visible_pixels", "motion")
    index, frames, (world, places, visible, moving) = stored(folder, names)
    number, cameras, n = camera_of(index["cameras"], camera), len(index["cameras"]), len(frames)
    objects = world.shape[2] if world.ndim == 4 else 0
    valid = (n, 2, objects, 3), (n, cameras, objects, 2), (n, cameras, objects), (n,)
    found = tuple(array.shape for array in (world, places, visible, moving))
    if found != valid or not objects or "seconds" not in index or not np.isfinite(world).all() or not (0 <= moving).all() or not (moving < objects).all():
        raise BadInput(f"{folder / 'labels.npz'}: found {', '.join(map(str, found))}; needs what python -m envs.demos.scenes moving=true draws")
    first = min(index["scenes"], n)
    for name, wanted, there in (("train", fit, first), ("held_out", held_out, n - first)):
        if wanted is not None and wanted > there:
            raise BadInput(f"{name}={wanted}: {folder} has {there} such scenes; draw more with python -m envs.demos.scenes moving=true")
    chosen = np.concatenate([np.arange(first)[:fit], np.arange(first, n)[:held_out]])
    num_fit = len(range(first)[:fit])
    digest = hashlib.sha256(json.dumps([index, number, num_fit, len(chosen)], sort_keys=True).encode()).hexdigest()
    cm_s = 100 * (world[:, 1, :, :2] - world[:, 0, :, :2]).astype(np.float64) / index["seconds"]
    seen = visible[:, number] >= LEAST_VISIBLE * frames.shape[3] ** 2
    inside = (places[:, number] > 0).all(axis=-1) & (places[:, number] < 1).all(axis=-1)
    return Drifts(frames[chosen, number], places[chosen, number], (seen & inside)[chosen], cm_s[chosen], moving[chosen], num_fit, digest)


def velocity_probe(features: Features, data: Drifts, seed: int = 0) -> list[dict[str, Any]]:
    """One record for each of the streams: ridge regression of (x, y) in cm/s from the patches around an object, the drifting one and the others alike.

    Raises BadInput where too few objects are seen.
    """
    fit_rows, held_rows = (np.argwhere(data.visible & part[:, None]) for part in (_first(data), ~_first(data)))  # (rows, 2): scene, object
    if min(len(fit_rows), len(held_rows)) < 10:
        raise BadInput(f"scenes: {len(fit_rows)} and {len(held_rows)} objects are seen by this camera; needs 10 to fit to and 10 to measure on")
    fit_rows = np.random.default_rng(seed).permutation(fit_rows)[:MOST_ROWS]
    wanted, truth = (data.cm_s[rows[:, 0], rows[:, 1]] for rows in (fit_rows, held_rows))
    grams: dict[int, Any] = {}
    records = []
    for stream, ways in features.items():
        for part in ways["patches"]:
            if id(part) not in grams:
                grams[id(part)] = gram(around(part, data.places, fit_rows), around(part, data.places, held_rows))
        found = ridge(reduce(add, (grams[id(part)] for part in ways["patches"])), wanted)
        records.append({"streams": stream, "read": "patches", **scores(found.predicted, truth, held_rows, data), "strength": found.strength})
    return records


def _first(data: Drifts) -> Bool[np.ndarray, " n"]:
    return np.arange(len(data)) < data.num_fit


def around(patches: np.ndarray, places: Float[np.ndarray, "n o 2"], rows: Int[np.ndarray, "r 2"]) -> np.ndarray:
    """(r, cells, d): of patches (n, side · side, d), those around each object; 3 × 3 of 12 × 12."""
    side = math.isqrt(patches.shape[1])
    cells = max(1, round(side * WINDOW))
    found = np.empty((len(rows), cells * cells, patches.shape[2]), patches.dtype)
    for number, (scene, thing) in enumerate(rows):
        x, y = np.clip(np.round(places[scene, thing] * side - cells / 2), 0, side - cells).astype(int)
        lines = np.arange(y, y + cells)[:, None] * side + np.arange(x, x + cells)
        found[number] = patches[scene][lines.ravel()]
    return found


def scores(predicted: Float[np.ndarray, "r 2"], truth: Float[np.ndarray, "r 2"], rows: Int[np.ndarray, "r 2"], data: Drifts) -> dict[str, float | None]:
    """Of the object that drifts: R², and at 4 cm/s and more direction and speed; then in how many scenes it is the one that is said to be fastest."""
    drifts = data.moving[rows[:, 0]] == rows[:, 1]
    one, other = predicted[drifts], truth[drifts]
    speed = np.linalg.norm(other, axis=1)
    fast = speed >= LEAST_CM_S
    if not fast.any():
        raise BadInput(f"scenes: nothing that is seen moves at {LEAST_CM_S:g} cm/s or more; draw more of them")
    turned = np.rad2deg(np.abs(np.angle(np.exp(1j * (np.arctan2(one[:, 1], one[:, 0]) - np.arctan2(other[:, 1], other[:, 0]))))))[fast]
    off = np.abs(np.linalg.norm(one, axis=1) - speed)[fast] / speed[fast]
    named = []
    for scene in np.unique(rows[:, 0]):
        mine = rows[:, 0] == scene
        things = rows[mine, 1]
        if len(things) == data.visible.shape[1] > 1 and np.linalg.norm(data.cm_s[scene, data.moving[scene]]) >= LEAST_CM_S:
            named.append(things[np.argmax(np.linalg.norm(predicted[mine], axis=1))] == data.moving[scene])
    return {
        "r2": float(1 - np.square(one - other).sum() / np.square(other - other.mean(axis=0)).sum()),
        "direction_deg": float(np.median(turned)),
        "within_20_deg": float(np.mean(turned <= WITHIN_DEG)),
        "speed_error": float(np.median(off)),
        "named": float(np.mean(named)) if named else None,
        "fast": int(fast.sum()),
        "scenes": len(named),
    }
