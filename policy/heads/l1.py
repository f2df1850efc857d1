"""`head=l1`: one chunk, of which every number is the median of what the demonstrations did."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from policy.heads.decoder import Decoder, mean_over_steps, mlp


class L1(Decoder):
    """Mean absolute error, also of the gripper: its median is a decision (±1) where demonstrations disagree, as a squared error's mean is not."""

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = ()) -> None:
        super().__init__(dim, chunk, action_dim)
        self.act = mlp(dim, chunk * action_dim, parameters)

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        return self.act(features).reshape(-1, self.chunk, self.action_dim)

    def loss(self, features: Float[Tensor, "b f"], actions: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        error = F.l1_loss(self(features).float(), actions, reduction="none").mean(dim=-1)  # (b, k)
        return mean_over_steps(error, mask)
