"""Ridge regression from any number of features, its strength chosen by leaving one out.

All patches flattened are some 20,000 numbers, more than there are scenes, so the problem is solved in the space of the scenes (the "dual": a Gram
matrix of inner products). That is the same solution as in the space of the features, exactly: nothing is projected or left out, whatever
the number of dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, blas, cho_solve, cholesky, lapack

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-8, 7))  # times a scene's mean square: below, the Gram matrix is not exact enough in 32 bits
START = STRENGTHS.index(0.1)
COLUMNS = 4096  # features that are in memory at a time


@dataclass(frozen=True)
class Gram:
    """Inner products of centred features, scaled so that the mean square length of a scene that is fitted to is 1: (f, f), and (m, f) of held-out ones."""

    fit: NDArray[np.float32]
    held_out: NDArray[np.float32]

    def __add__(self, other: Gram) -> Gram:
        """The Gram matrix of both sets of features side by side, each with the same weight."""
        return Gram((self.fit + other.fit) / 2, (self.held_out + other.held_out) / 2)


def gram(fit: NDArray[np.generic], held_out: NDArray[np.generic]) -> Gram:
    """Of features (f, …) and (m, …), any number type, also memory maps. Features that differ in no scene give zeros."""
    a, b = _flat(fit), _flat(held_out)
    inner = np.zeros((len(a), len(a)), np.float32, order="F")
    across = np.zeros((len(b), len(a)), np.float32)
    for begin in range(0, a.shape[1], COLUMNS):
        x = a[:, begin : begin + COLUMNS].astype(np.float32)
        mean = x.mean(axis=0)
        x -= mean
        inner = blas.ssyrk(1.0, x.T, 1.0, inner, trans=1, overwrite_c=1)  # the upper triangle only: half the work
        across += (b[:, begin : begin + COLUMNS].astype(np.float32) - mean) @ x.T
    inner = np.triu(inner) + np.triu(inner, 1).T
    scale = np.float32(max(float(np.trace(inner)) / len(a), np.finfo(np.float32).tiny))
    return Gram(inner / scale, across / scale)


def _flat(features: NDArray[np.generic]) -> NDArray[np.generic]:
    return features.reshape(len(features), -1)


@dataclass(frozen=True)
class Fit:
    """Predictions (m, y) for the held-out rows, the strength that was chosen, and the error of the left-out rows it was chosen by."""

    predicted: NDArray[np.float64]
    strength: float
    left_out_rmse: float


def ridge(products: Gram, targets: NDArray[np.floating], groups: NDArray[np.integer] | None = None) -> Fit:
    """Fits targets (f, y), and an intercept that is not penalised, with the strength whose leave-one-out squared error is least.

    `groups` (f,): rows that are left out together, since they resemble each other (frames of one clip); None: each row alone. The left-out errors come
    in closed form (Hastie et al., The Elements of Statistical Learning, section 7.10); the walk through `STRENGTHS` begins in the middle and goes
    downhill to the first minimum. Held-out rows take no part in it.
    """
    mean = targets.mean(axis=0)
    together = [] if groups is None else [np.flatnonzero(groups == group) for group in np.unique(groups)]
    tried: dict[int, tuple[float, NDArray[np.float64]]] = {}

    def error(index: int) -> float:
        if not 0 <= index < len(STRENGTHS):
            return np.inf
        if index not in tried:
            tried[index] = _leave_one_out(products.fit, targets - mean, STRENGTHS[index], together)
        return tried[index][0]

    best = START
    for step in (-1, 1):
        while error(best + step) < error(best):
            best += step
    least, dual = tried[best]
    return Fit(products.held_out @ dual + mean, STRENGTHS[best], least)


def _leave_one_out(
    inner: NDArray[np.float32], targets: NDArray[np.floating], strength: float, groups: list[NDArray[np.intp]]
) -> tuple[float, NDArray[np.float64]]:
    """Root mean square error of the rows, each (or each of the groups) left out in turn, and the dual weights (f, y)."""
    matrix = inner + np.float32(strength) * np.eye(len(inner), dtype=np.float32)
    try:
        lower = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:  # too little for 32 bits
        return np.inf, np.zeros(targets.shape)
    dual = cho_solve((lower, True), targets.astype(np.float32), check_finite=False).astype(np.float64)
    root, _ = lapack.strtri(lower, lower=1, overwrite_c=1)  # rootᵀ·root is the inverse
    constant = 1 / (len(inner) * strength)  # the intercept's part of the inverse: the centred Gram matrix sends the constant vector to 0
    if groups:
        left_out = np.empty_like(dual)
        for rows in groups:
            part = root[:, rows].astype(np.float64)
            left_out[rows] = np.linalg.solve(part.T @ part - constant, dual[rows])
    else:
        own = np.square(root).sum(axis=0, dtype=np.float64) - constant
        left_out = dual / np.maximum(own, np.finfo(np.float32).tiny)[:, None]
    return float(np.sqrt(np.square(left_out).sum(axis=1).mean())), dual
