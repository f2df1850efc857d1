"""Pairs of pictures that a probe is fitted to and measured on, whatever it asks of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """(t, t+k) from one camera; those to fit come before the held-out ones. `digest` names the data, the camera included."""

    frames: UInt8[np.ndarray, "n 2 h w 3"]
    num_fit: int
    digest: str

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> int:
        """Pixels of a picture's edge."""
        return int(self.frames.shape[2])
