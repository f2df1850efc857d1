"""Which colour and shape a thing has, read from frozen tokens at its place by a linear probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from policy.probing.at_places import LEAST_VISIBLE, products, rows_of
from policy.probing.named import Named, read_named
from policy.probing.pairs import Pairs
from policy.probing.ridge import ridge
from policy.probing.scenes import camera_of
from policy.probing.tokens import Features


@dataclass(frozen=True, kw_only=True)
class Things(Pairs):
    """The things in the first picture of each pair."""

    places: Float[np.ndarray, "n o 2"]  # x to the right, y down, from 0 to 1
    visible: Bool[np.ndarray, "n o"]
    colours: Int[np.ndarray, "n o"]
    shapes: Int[np.ndarray, "n o"]


def read_things(folder: str | Path, fit: int | None = None, held_out: int | None = None, camera: str | None = None) -> Things:
    """The first `fit` and `held_out` scenes (None: all) of a folder that was drawn with version=1, from `camera` (None: the first). Raises BadInput."""
    data: Named = read_named(folder, fit, held_out, LEAST_VISIBLE)
    number = camera_of(data.index["cameras"], camera)
    digest = hashlib.sha256(json.dumps([data.digest, number]).encode()).hexdigest()
    return Things(
        frames=data.frames[:, number],
        places=data.places[:, number],
        visible=data.seen[:, number],
        colours=data.colours,
        shapes=data.shapes,
        num_fit=data.num_fit,
        digest=digest,
    )


def names_probe(features: Features, data: Things, seed: int = 0) -> list[dict[str, Any]]:
    """One record for each of the streams: how often a linear map of the 3 × 3 patches around a thing tells its colour, its shape, and both.

    Ridge regression to one number a name, the greatest of which counts. Raises BadInput where too few things are seen.
    """
    fit_rows, held_rows = rows_of(data.visible, data.num_fit, seed, "things")
    records = []
    for stream, inner in products(features, data.places, fit_rows, held_rows):
        right = {}
        for name, values in _names(data):
            told = ridge(inner, np.eye(values.max() + 1)[values[fit_rows[:, 0], fit_rows[:, 1]]]).predicted.argmax(axis=1)
            right[name] = told == values[held_rows[:, 0], held_rows[:, 1]]
        right["both"] = right["colour"] & right["shape"]
        records.append({"streams": stream, "read": "patches", **{name: float(hits.mean()) for name, hits in right.items()}})
    commonest = {name: float(np.bincount(values[held_rows[:, 0], held_rows[:, 1]]).max() / len(held_rows)) for name, values in _names(data)}
    return [record | {f"{name}_commonest": share for name, share in commonest.items()} | {"things": len(held_rows)} for record in records]


def _names(data: Things) -> tuple[tuple[str, np.ndarray], ...]:
    return ("colour", data.colours), ("shape", data.shapes)
