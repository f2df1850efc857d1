"""What all heads have in common: their sizes, the steps of a chunk weighed, the plain network and its width for a number of parameters."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from whatwhere.errors import BadInput

LATER = 0.5  # what an action of a chunk counts beside the one before it: the first is executed, the others teach
LEAST_WIDTH = 16


class Decoder(nn.Module):
    """Features → a chunk of actions. A head is a subclass with `forward` and `loss`, of `parameters` parameters or a little fewer.

    `noise`: how many standard normal numbers an answer takes as its second input; 0 where the features alone decide.
    """

    standardised: ClassVar[bool] = False  # whether it learns each number of an action in units of its own deviation from its own mean
    sees_own: ClassVar[bool] = False  # whether proprio stands behind the features, as it is
    noise: int = 0

    def __init__(self, dim: int, chunk: int, action_dim: int) -> None:
        super().__init__()
        self.dim, self.chunk, self.action_dim = dim, chunk, action_dim

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        raise NotImplementedError

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        """What training makes small; `mask` is False past the episode's end, where nothing counts. What is random in it is torch's own, seeded by the loop."""
        raise NotImplementedError


def step_weights(mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Each valid step counts half as much as the one before."""
    return mask * LATER ** torch.arange(mask.shape[1], device=mask.device)


def mean_over_steps(error: Float[Tensor, "b k"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Mean of the valid steps' errors, earlier ones counting more; 0 if there is none."""
    weight = step_weights(mask)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def mlp(inside: int, out: int, parameters: int) -> nn.Sequential:
    """LayerNorm and three layers with GELU, as wide as `parameters` allow; answers start near zero. Raises BadInput for too few."""
    hidden = width(parameters, inside + out + 2, out + 2 * inside)
    layers = nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, out))
    start_near_zero(layers[-1])
    return layers


def start_near_zero(layer: nn.Module) -> None:
    """Of a network's last layer: it starts near "do nothing"."""
    assert isinstance(layer, nn.Linear)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)


def width(parameters: int, linear: int, constant: int) -> int:
    """The greatest x with x² + linear·x + constant ≤ parameters. Raises BadInput if that is hardly a network."""
    half, left = linear / 2, parameters - constant
    x = int(math.sqrt(half * half + left) - half) if left > 0 else 0
    if x < LEAST_WIDTH:
        raise BadInput(f"a head needs at least {LEAST_WIDTH * (LEAST_WIDTH + linear) + constant} parameters beside the reader's")
    return x


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
