"""`head=mixture`: a few chunks, each with a probability; an answer is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.heads.decoder import Decoder, mlp, step_weights

MODES = 5
LEAST_STD = 0.05  # of an action's number, whose range is 2; without a floor the densities of numbers that hardly vary would outweigh all else
SPREAD = 0.5  # of the modes at the start, so that they do not learn the same


class Mixture(Decoder):
    """A mixture of Gaussians over whole chunks, after the GMM policies of robomimic (Mandlekar et al. 2021, arXiv 2108.03298).

    Trained by the likelihood of what was done. An answer is the mean of one mode, drawn by the modes' probabilities: robomimic's evaluation with low
    noise, whose deviation of 0.0001 is 0 here. Drawn, and not the likeliest: a hand that waits for something less likely does not wait for ever.
    """

    noise = 1

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = ()) -> None:
        super().__init__(dim, chunk, action_dim)
        self.act = mlp(dim, MODES * (1 + 2 * chunk * action_dim), parameters)
        last = self.act[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias[MODES : MODES * (1 + chunk * action_dim)].uniform_(-SPREAD, SPREAD)  # the means

    def modes(self, features: Float[Tensor, "b f"]) -> tuple[Float[Tensor, "b m"], Float[Tensor, "b m k a"], Float[Tensor, "b m k a"]]:
        """Logits, means and deviations of the modes."""
        logits, means, deviations = self.act(features).float().tensor_split((MODES, MODES * (1 + self.chunk * self.action_dim)), dim=-1)
        shape = (-1, MODES, self.chunk, self.action_dim)
        return logits, means.reshape(shape).tanh(), F.softplus(deviations.reshape(shape)) + LEAST_STD

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        assert noise is not None
        logits, means, _ = self.modes(features)
        share = (1 + torch.erf(noise / math.sqrt(2))) / 2  # (b, 1), uniform in [0, 1]
        below = logits.softmax(dim=-1).cumsum(dim=-1)[:, :-1] < share  # (b, m − 1)
        chosen = below.sum(dim=-1)[:, None, None, None].expand(-1, 1, self.chunk, self.action_dim)
        return means.gather(1, chosen)[:, 0]

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        """Minus the logarithm of the density for each weighed step."""
        logits, means, deviations = self.modes(features)
        weight = step_weights(mask)  # (b, k)
        known = torch.where(mask[..., None], actions, 0.0)[:, None]
        density = torch.distributions.Normal(means, deviations, validate_args=False).log_prob(known).sum(dim=-1)  # (b, m, k)
        likelihood = torch.logsumexp(logits.log_softmax(dim=-1) + (density * weight[:, None]).sum(dim=-1), dim=-1)  # (b,)
        return -(likelihood * mask.any(dim=1)).sum() / weight.sum().clamp(min=1e-6)
