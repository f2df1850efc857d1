"""What frozen tokens around each of several things in a picture know of it, by a linear map (policy.probing.ridge)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Bool, Float, Int

from policy.probing.ridge import Gram, gram
from policy.probing.tokens import Features
from whatwhere.errors import BadInput

WINDOW = 1 / 4  # of the picture's edge: 3 of 12 patches
LEAST_VISIBLE = 24 / 96**2  # share of the picture: a third of a thing in the scene camera
MOST_ROWS = 4000  # things that are fitted to: the time goes with the cube


def rows_of(visible: Bool[np.ndarray, "n o"], num_fit: int, seed: int, what: str) -> tuple[Int[np.ndarray, "f 2"], Int[np.ndarray, "m 2"]]:
    """(scene, thing) of what is seen in the first `num_fit` scenes, at most `MOST_ROWS`, and in the others.

    Raises BadInput, which calls things `what`, where there are too few.
    """
    first = (np.arange(len(visible)) < num_fit)[:, None]
    fit_rows, held_rows = (np.argwhere(visible & part) for part in (first, ~first))
    if min(len(fit_rows), len(held_rows)) < 10:
        raise BadInput(f"scenes: {len(fit_rows)} and {len(held_rows)} {what} are seen by this camera; needs 10 to fit to and 10 to measure on")
    return np.random.default_rng(seed).permutation(fit_rows)[:MOST_ROWS], held_rows


def products(
    features: Features, places: Float[np.ndarray, "n o 2"], fit_rows: Int[np.ndarray, "f 2"], held_rows: Int[np.ndarray, "m 2"]
) -> Iterator[tuple[str, Gram]]:
    """Each of the streams, and the inner products of its patches around those things."""
    grams: dict[int, Gram] = {}  # of each part once: streams share them
    for stream, ways in features.items():
        for part in ways["patches"]:
            if id(part) not in grams:
                grams[id(part)] = gram(around(part, places, fit_rows), around(part, places, held_rows))
        yield stream, reduce(add, (grams[id(part)] for part in ways["patches"]))


def around(patches: np.ndarray, places: Float[np.ndarray, "n o 2"], rows: Int[np.ndarray, "r 2"]) -> np.ndarray:
    """(r, cells, d): of patches (n, side · side, d), those around each thing; 3 × 3 of 12 × 12."""
    side = math.isqrt(patches.shape[1])
    cells = max(1, round(side * WINDOW))
    found = np.empty((len(rows), cells * cells, patches.shape[2]), patches.dtype)
    for number, (scene, thing) in enumerate(rows):
        x, y = np.clip(np.round(places[scene, thing] * side - cells / 2), 0, side - cells).astype(int)
        lines = np.arange(y, y + cells)[:, None] * side + np.arange(x, x + cells)
        found[number] = patches[scene][lines.ravel()]
    return found
