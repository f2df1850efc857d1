"""A few clips for tests of pre-training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch


def moving_squares(folder: Path) -> Path:
    """Squares that move over noise: (clips, frames, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 120, (12, 1, 32, 32, 3), dtype=np.uint8), 6, axis=1)
    for clip in frames:
        y, x, color = *rng.integers(0, 20, 2), rng.integers(150, 255, 3)
        for t, frame in enumerate(clip):
            frame[y : y + 8, x + t : x + t + 8] = color
    np.save(folder / "frames.npy", frames)
    return folder


def tiny_vae(folder: Path) -> Path:
    """A diffusers `AutoencoderKL` of random weights: latents of 4 channels and half the size."""
    from policy.diffusion.autoencoding import small_vae

    if not (folder / "vae").exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            small_vae(4, (8, 16), 32).half().save_pretrained(folder / "vae")
    return folder / "vae"
