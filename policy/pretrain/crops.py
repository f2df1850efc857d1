"""Crops drawn once a clip and cut from all its frames (spec A3), so that a change inside a crop is motion and never the crop's own jitter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8

RATIOS = (3 / 4, 4 / 3)  # width by height of a crop that is smaller than the frame; as in Caron et al. 2021 (DINO), with the two ranges below
GLOBAL, LOCAL = (0.4, 1.0), (0.05, 0.4)  # share of the largest square in the frame that a crop covers


@dataclass(frozen=True)
class MultiCrop:
    """The small crops that go with a large one: how many, of how many pixels, and the share of the largest square that each covers."""

    local: int
    local_size: int
    local_scale: tuple[float, float] = LOCAL


@dataclass(frozen=True)
class Views:
    """Multi-crop of one clip of t frames: a large crop and several small ones, each cut at the same place from every frame."""

    whole: UInt8[np.ndarray, "t h w 3"]
    local: tuple[UInt8[np.ndarray, "t l l 3"], ...]

    @property
    def pairs(self) -> list[tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]]:
        """Neighbouring frames (t0, t1), (t1, t2), … of the large crop, then those of each small one."""
        return [(view[i], view[i + 1]) for view in (self.whole, *self.local) for i in range(len(view) - 1)]


def draw_box(rng: np.random.Generator, height: int, width: int, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """A crop (top, left, height, width) in pixels; `scale` is the share of the largest square that its area takes.

    `scale=(1, 1)` gives that square itself, anywhere along the longer side. Draws the same count of random numbers every time.
    """
    share, ratio, y, x = rng.random(4)
    short = min(height, width)
    area = short * short * (scale[0] + share * (scale[1] - scale[0]))
    shape = 1.0 if scale == (1.0, 1.0) else math.exp(math.log(RATIOS[0]) + ratio * math.log(RATIOS[1] / RATIOS[0]))
    h = min(height, max(1, round(math.sqrt(area / shape))))
    w = min(width, max(1, round(math.sqrt(area * shape))))
    return int(y * (height - h + 1)), int(x * (width - w + 1)), h, w


def cut(frame: UInt8[np.ndarray, "h w 3"], box: tuple[int, int, int, int] | Int[np.ndarray, " 4"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The crop, resized to a square of `size` pixels with an antialiasing filter; the pixels themselves where it has that size already."""
    top, left, h, w = (int(number) for number in box)
    part = frame[top : top + h, left : left + w]
    if (h, w) == (size, size):
        return part
    pixels = torch.from_numpy(part).permute(2, 0, 1)[None]  # (1, 3, h, w); torch resizes uint8 four times faster than Pillow
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()


def multi_crop(
    frames: UInt8[np.ndarray, "t h w 3"],
    rng: np.random.Generator,
    size: int = 224,
    local_size: int = 96,
    local: int = 2,
    scale: tuple[float, float] = GLOBAL,
    local_scale: tuple[float, float] = LOCAL,
) -> Views:
    """One large and `local` small crops of a clip. Each box is drawn once and cut from all frames."""

    def view(pixels: int, of: tuple[float, float]) -> np.ndarray:
        box = draw_box(rng, frames.shape[1], frames.shape[2], of)
        return np.stack([cut(frame, box, pixels) for frame in frames])

    return Views(view(size, scale), tuple(view(local_size, local_scale) for _ in range(local)))
