"""`head=binary`: as l1, but numbers that had two values in the demonstrations are chosen between the two, not approached."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from policy.heads.decoder import mean_over_steps
from policy.heads.l1 import L1


class Binary(L1):
    """`binary`: (number, lower value, higher value) of each such number of an action. For these the network gives logits, learnt by cross-entropy.

    An answer has the value that is more probable, so that an opened gripper does not half close while the policy makes up its mind.
    """

    is_binary: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = ()) -> None:
        super().__init__(dim, chunk, action_dim, parameters)
        values = {number: (low, high) for number, low, high in binary}
        pairs = torch.tensor([values.get(number, (0.0, 0.0)) for number in range(action_dim)], dtype=torch.float32)
        self.register_buffer("is_binary", torch.tensor([number in values for number in range(action_dim)]), persistent=False)
        self.register_buffer("low", pairs[:, 0].clone(), persistent=False)
        self.register_buffer("high", pairs[:, 1].clone(), persistent=False)

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        told = super().forward(features)
        return torch.where(self.is_binary, torch.where(told > 0, self.high, self.low), told)

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        told = super().forward(features).float()
        is_high = (actions > (self.low + self.high) / 2).float()
        unsure = F.binary_cross_entropy_with_logits(told, is_high, reduction="none")
        error = torch.where(self.is_binary, unsure, F.l1_loss(told, actions, reduction="none"))
        return mean_over_steps(error.mean(dim=-1), mask)
