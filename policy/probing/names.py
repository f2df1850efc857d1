"""Which colour and shape a thing has, read from frozen tokens at its place by a linear probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from policy.probing.named import Named, read_named
from policy.probing.ridge import gram, ridge
from policy.probing.scenes import camera_of
from policy.probing.tokens import Features
from policy.probing.velocity import MOST_ROWS, around
from whatwhere.errors import BadInput

LEAST_VISIBLE = 24 / 96**2  # share of the picture: a third of a thing in the scene camera


@dataclass(frozen=True)
class Things:
    """Pairs of pictures (t, t+k) from one camera and the things in the first; those to fit come before the held-out ones."""

    frames: UInt8[np.ndarray, "n 2 h w 3"]
    places: Float[np.ndarray, "n o 2"]  # x to the right, y down, from 0 to 1
    visible: Bool[np.ndarray, "n o"]
    colours: Int[np.ndarray, "n o"]
    shapes: Int[np.ndarray, "n o"]
    num_fit: int
    digest: str

    def __len__(self) -> int:
        return len(self.colours)

    @property
    def size(self) -> int:
        """Pixels of a picture's edge."""
        return int(self.frames.shape[2])


def read_things(folder: str | Path, fit: int | None = None, held_out: int | None = None, camera: str | None = None) -> Things:
    """The first `fit` and `held_out` scenes (None: all) of a folder that was drawn with version=1, from `camera` (None: the first). Raises BadInput."""
    data: Named = read_named(folder, fit, held_out, LEAST_VISIBLE)
    number = camera_of(data.index["cameras"], camera)
    digest = hashlib.sha256(json.dumps([data.digest, number]).encode()).hexdigest()
    return Things(data.frames[:, number], data.places[:, number], data.seen[:, number], data.colours, data.shapes, data.num_fit, digest)


def names_probe(features: Features, data: Things, seed: int = 0) -> list[dict[str, Any]]:
    """One record for each of the streams: how often a linear map of the 3 × 3 patches around a thing tells its colour, its shape, and both.

    Ridge regression to one number a name, the greatest of which counts. Raises BadInput where too few things are seen.
    """
    first = (np.arange(len(data)) < data.num_fit)[:, None]
    fit_rows, held_rows = (np.argwhere(data.visible & part) for part in (first, ~first))  # (rows, 2): scene, thing
    if min(len(fit_rows), len(held_rows)) < 10:
        raise BadInput(f"scenes: {len(fit_rows)} and {len(held_rows)} things are seen by this camera; needs 10 to fit to and 10 to measure on")
    fit_rows = np.random.default_rng(seed).permutation(fit_rows)[:MOST_ROWS]
    grams: dict[int, Any] = {}
    records = []
    for stream, ways in features.items():
        for part in ways["patches"]:
            if id(part) not in grams:
                grams[id(part)] = gram(around(part, data.places, fit_rows), around(part, data.places, held_rows))
        products = reduce(add, (grams[id(part)] for part in ways["patches"]))
        right = {}
        for name, values in _names(data):
            told = ridge(products, np.eye(values.max() + 1)[values[fit_rows[:, 0], fit_rows[:, 1]]]).predicted.argmax(axis=1)
            right[name] = told == values[held_rows[:, 0], held_rows[:, 1]]
        right["both"] = right["colour"] & right["shape"]
        records.append({"streams": stream, "read": "patches", **{name: float(hits.mean()) for name, hits in right.items()}})
    commonest = {name: float(np.bincount(values[held_rows[:, 0], held_rows[:, 1]]).max() / len(held_rows)) for name, values in _names(data)}
    return [record | {f"{name}_commonest": share for name, share in commonest.items()} | {"things": len(held_rows)} for record in records]


def _names(data: Things) -> tuple[tuple[str, np.ndarray], ...]:
    return ("colour", data.colours), ("shape", data.shapes)
