"""Inverse pairs: what goes into the network and what comes out of it, in the network's units and in the world's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whatwhere.errors import BadInput, choose

METHODS = ("std", "range", "identity")
LEAST_SCALE = 1e-3  # a number that never varied in the data must not be blown up when it does


@dataclass(frozen=True)
class Affine:
    """normalise(x) = (x − shift) / scale over the last axis; unnormalise is its inverse. Plain arrays, both (x,) float32."""

    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))
        if self.shift.ndim != 1 or self.shift.shape != self.scale.shape:
            raise BadInput(f"normalisation: shift {self.shift.shape} and scale {self.scale.shape} must be two lists of one length")
        if not (np.isfinite(self.shift).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise BadInput("normalisation: shift must be finite, scale finite and above 0")

    def normalise(self, values: ArrayLike) -> NDArray[np.float32]:
        return ((np.asarray(values, dtype=np.float32) - self.shift) / self.scale).astype(np.float32)

    def unnormalise(self, values: ArrayLike) -> NDArray[np.float32]:
        return (np.asarray(values, dtype=np.float32) * self.scale + self.shift).astype(np.float32)

    @staticmethod
    def identity(dim: int) -> Affine:
        return Affine(np.zeros(dim, np.float32), np.ones(dim, np.float32))

    @staticmethod
    def of(values: NDArray[np.floating[Any]], method: str = "std") -> Affine:
        """From data (n, x): "std" to zero mean and unit deviation, "range" from [min, max] to [-1, 1], "identity" leaves it alone."""
        choose("method", method, METHODS)
        if method == "identity":
            return Affine.identity(values.shape[-1])
        if method == "std":
            shift, scale = values.mean(axis=0), values.std(axis=0)
        else:
            low, high = values.min(axis=0), values.max(axis=0)
            shift, scale = (low + high) / 2, (high - low) / 2
        return Affine(shift.astype(np.float32), np.maximum(scale, LEAST_SCALE).astype(np.float32))

    def to_dict(self) -> dict[str, list[float]]:
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Affine:
        """Raises BadInput unless `values` has the lists `shift` and `scale`."""
        try:
            return Affine(np.asarray(values["shift"], np.float32), np.asarray(values["scale"], np.float32))
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"normalisation: needs the lists shift and scale, found {values}") from None
