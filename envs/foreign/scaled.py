"""Pictures of others brought to one square size: the middle square, scaled; the same for demonstrations and for the environment that a policy meets."""

from __future__ import annotations

import numpy as np
from PIL import Image


def scaled_to(frames: np.ndarray, size: int | None) -> np.ndarray:
    """(t, h, w, 3) → (t, size, size, 3); as they are if `size` is None."""
    height, width = frames.shape[1:3]
    if size is None or height == width == size:
        return frames
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = frames[:, top : top + edge, left : left + edge]
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX if size < edge else Image.Resampling.BICUBIC)) for frame in square]
    )
