"""`head=mip`: two regressions, of which the second corrects the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from policy.heads.decoder import Decoder, mean_over_steps
from policy.heads.denoiser import Denoiser

TIME = 0.9  # of the second


class Mip(Decoder):
    """The minimal iterative policy of Pan et al. 2025, "Much ado about noising" (arXiv 2512.01809).

    The first regression is of actions from the features alone, the second from features and t·actions + (1 − t)·noise: it learns to bring a chunk
    that is slightly off back to what was done. An answer is the second, of t · the first, without noise. Both are learnt by the mean absolute error, as
    `l1` is, where the paper takes a squared one.
    """

    standardised: ClassVar[bool] = True  # the noise is a tenth of each number's own deviation

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = ()) -> None:
        super().__init__(dim, chunk, action_dim)
        self.denoise = Denoiser(dim, chunk * action_dim, parameters)

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        seen = self.denoise.see(features)
        return self._second(seen, TIME * self._first(seen)).reshape(-1, self.chunk, self.action_dim)

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        seen, known = self.denoise.see(features), torch.where(mask[..., None], actions, 0.0)
        near = torch.lerp(torch.randn_like(known), known, TIME).flatten(1)
        both = (self._first(seen), self._second(seen, near))
        return sum((mean_over_steps((told.reshape_as(known) - known).abs().mean(dim=-1), mask) for told in both), known.new_zeros(()))

    def _first(self, seen: Float[Tensor, "b h"]) -> Float[Tensor, "b n"]:
        nothing = torch.zeros(len(seen), self.chunk * self.action_dim, device=seen.device)
        return self.denoise(seen, nothing, torch.zeros(1, 1, device=seen.device))

    def _second(self, seen: Float[Tensor, "b h"], near: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        return self.denoise(seen, near, torch.full((1, 1), TIME, device=seen.device))
