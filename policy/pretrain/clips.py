"""Clips of play video as a memory map, and the mixture of moving and static pairs drawn from it (spec A2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from whatwhere.errors import BadInput


class Clips:
    """A folder's `frames.npy`: uint8 (clips, frames, h, w, 3), as written by `python -m envs.demos.play`."""

    def __init__(self, folder: str | Path):
        path = Path(folder) / "frames.npy"
        try:
            self.frames = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadInput(f"data={folder}: {path.name} is not a readable array ({error}); make one with python -m envs.demos.play") from None
        if self.frames.ndim != 5 or self.frames.dtype != np.uint8 or self.frames.shape[-1] != 3 or self.frames.shape[2] != self.frames.shape[3]:
            raise BadInput(f"{path}: found {self.frames.dtype} {self.frames.shape}; needs uint8 (clips, frames, size, size, 3)")
        self.size = int(self.frames.shape[2])

    def pairs(self, seed: int, step: int, batch: int, static: float, max_gap: int) -> tuple[UInt8[np.ndarray, "b h w 3"], UInt8[np.ndarray, "b h w 3"]]:
        """Frames t and t+k, k uniform in 1…max_gap; with probability `static` frame t twice (so that M ≡ 0). A pure function of its arguments."""
        rng = np.random.default_rng([seed, step])
        clips, length = self.frames.shape[:2]
        gap = rng.integers(1, min(max_gap, length - 1) + 1, batch)
        gap[rng.random(batch) < static] = 0
        clip = rng.integers(0, clips, batch)
        first = (rng.random(batch) * (length - gap)).astype(int)
        return self.frames[clip, first], self.frames[clip, first + gap]
