"""`head=flow`: noise becomes a chunk in a few steps along a flow that was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from policy.heads.decoder import Decoder, mean_over_steps
from policy.heads.denoiser import Denoiser

STEPS = 8  # of an answer
DRAWS = 4  # noises and times that a sample teaches at once: the pictures, which cost most, are read once


class Flow(Decoder):
    """Flow matching (Lipman et al. 2022, arXiv 2210.02747) on straight lines x_t = (1 − t)·noise + t·actions, as in π0 (arXiv 2410.24164).

    The network tells the actions, and the flow is (actions − x_t) / (1 − t): the same flow as a network that tells it itself, but the last step
    of an answer lands on what the network tells, and noise need not be subtracted from it. `noise` is x_0, Euler's steps do the rest.
    """

    standardised: ClassVar[bool] = True  # noise of deviation 1 would drown numbers that hardly vary

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = ()) -> None:
        super().__init__(dim, chunk, action_dim)
        self.noise = chunk * action_dim
        self.denoise = Denoiser(dim, self.noise, parameters)

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        assert noise is not None
        seen, x = self.denoise.see(features), noise
        for step in range(STEPS):
            told = self.denoise(seen, x, x.new_full((1, 1), step / STEPS))
            x = x + (told - x) / (STEPS - step)
        return x.reshape(-1, self.chunk, self.action_dim)

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        """Squared error, whose best answer is the flow's mean direction."""
        seen = self.denoise.see(features).repeat(DRAWS, 1)
        known, mask = torch.where(mask[..., None], actions, 0.0).repeat(DRAWS, 1, 1), mask.repeat(DRAWS, 1)
        time = torch.rand(len(known), 1, device=known.device)
        x = torch.lerp(torch.randn_like(known).flatten(1), known.flatten(1), time)
        told = self.denoise(seen, x, time).reshape_as(known)
        return mean_over_steps((told - known).square().mean(dim=-1), mask)
