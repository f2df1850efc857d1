"""A small read-out by soft-argmax: what a policy's head can get out of patches, where a ridge regression is too rigid."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.shapes import cell_centres

KEYPOINTS, STEPS, BATCH, RATE = 16, 800, 64, 2e-2  # one recipe for every kind of token


class KeypointReadout(nn.Module):
    """Tokens (b, n, d) on a square grid → keypoints, each the mean place under a softmax over a linear score of the tokens → targets (b, y)."""

    positions: Tensor

    def __init__(self, dim: int, num_tokens: int, targets: int) -> None:
        super().__init__()
        side = math.isqrt(num_tokens)
        assert side * side == num_tokens
        self.scores = nn.Linear(dim, KEYPOINTS, bias=False)  # the softmax forgets a bias
        self.read = nn.Linear(2 * KEYPOINTS, targets)
        self.register_buffer("positions", cell_centres((side, side)), persistent=False)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b y"]:
        attention = self.scores(tokens).softmax(dim=1)  # (b, n, q)
        return self.read((attention.transpose(1, 2) @ self.positions).flatten(1))


def keypoint_readout(parts: tuple[np.ndarray, ...], targets: np.ndarray, seed: int = 0, steps: int | None = None) -> Float[np.ndarray, "m y"]:
    """Fits to the first rows of the tokens, as many as there are `targets` (f, y), and predicts the rest.

    `parts`: tokens (scenes, n, d) whose channels are put side by side. A fixed number of steps: nothing is chosen by the held-out scenes.
    """
    count, steps = len(targets), STEPS if steps is None else steps
    rng = np.random.default_rng(seed)
    shift, scale = _moments(parts, rng.permutation(count)[:200])

    def tokens(rows: np.ndarray) -> Tensor:
        values = np.concatenate([part[rows].astype(np.float32) for part in parts], axis=-1)
        return torch.from_numpy((values - shift) / scale)

    mean, spread = targets.mean(axis=0), targets.std(axis=0) + 1e-9
    wanted = torch.from_numpy(((targets - mean) / spread).astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KeypointReadout(len(shift), parts[0].shape[1], targets.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        rows = np.sort(rng.integers(0, count, min(BATCH, count)))
        loss = nn.functional.smooth_l1_loss(model(tokens(rows)), wanted[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        rate.step()
    with torch.no_grad():
        rest = np.arange(count, len(parts[0]))
        found = [model(tokens(rest[begin : begin + BATCH])).numpy() for begin in range(0, len(rest), BATCH)]
    return np.concatenate(found).astype(np.float64) * spread + mean


def _moments(parts: tuple[np.ndarray, ...], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (d,) of each channel."""
    values = np.concatenate([part[np.sort(rows)].astype(np.float32).reshape(-1, part.shape[-1]) for part in parts], axis=-1)
    return values.mean(axis=0), values.std(axis=0) + 1e-6
