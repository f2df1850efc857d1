"""How fast and where to an object moves, and which of several does, read from frozen tokens at the object's place by a linear probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from policy.probing.at_places import LEAST_VISIBLE, products, rows_of
from policy.probing.pairs import Pairs
from policy.probing.ridge import ridge
from policy.probing.scenes import camera_of, stored
from policy.probing.tokens import Features
from whatwhere.errors import BadInput

LEAST_CM_S = 4.0  # slower movements have no direction that counts
WITHIN_DEG = 20


@dataclass(frozen=True, kw_only=True)
class Drifts(Pairs):
    """Pairs (t−k, t) in which one object drifts. Places are of the later picture."""

    places: Float[np.ndarray, "n o 2"]  # x to the right, y down, from 0 to 1
    visible: Bool[np.ndarray, "n o"]
    cm_s: Float[np.ndarray, "n o 2"]  # along the table's x and y
    moving: Int[np.ndarray, " n"]  # which


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
    return Drifts(
        frames=frames[chosen, number],
        places=places[chosen, number],
        visible=(seen & inside)[chosen],
        cm_s=cm_s[chosen],
        moving=moving[chosen],
        num_fit=num_fit,
        digest=digest,
    )


def velocity_probe(features: Features, data: Drifts, seed: int = 0) -> list[dict[str, Any]]:
    """One record for each of the streams: ridge regression of (x, y) in cm/s from the patches around an object, the drifting one and the others alike.

    Raises BadInput where too few objects are seen.
    """
    fit_rows, held_rows = rows_of(data.visible, data.num_fit, seed, "objects")
    wanted, truth = (data.cm_s[rows[:, 0], rows[:, 1]] for rows in (fit_rows, held_rows))
    records = []
    for stream, inner in products(features, data.places, fit_rows, held_rows):
        found = ridge(inner, wanted)
        records.append({"streams": stream, "read": "patches", **scores(found.predicted, truth, held_rows, data), "strength": found.strength})
    return records


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
