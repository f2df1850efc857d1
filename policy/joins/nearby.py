"""`join=nearby`: as `similarity`, and keypoints beside the place of each named thing: the words say which thing, the keypoints where exactly it is.

What they find is the patches' own, colours too, so a policy learns to read things as its demonstrations show them. With `similarity` alone it can be told of
things that none shows.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.heads.grid import GridMlp
from policy.joins.join import Pointed, Sizes
from policy.joins.similarity import ROLES, Similarity

VALUES = 4  # numbers of what is at a keypoint


class Nearby(Similarity):
    """Half of the keypoints are about what is meant, half about what it is put beside or upon. Of a thing that is not seen they say nothing."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        if not self.points:
            return
        self.each = max(1, sizes.keypoints // ROLES)
        self.extra += ROLES * self.each * (2 + VALUES)
        self.tokens = GridMlp(sizes.dim, sizes.grid)
        self.scores = nn.Linear(sizes.width, ROLES * self.each)
        self.log_sharpness = nn.Parameter(torch.full((ROLES * self.each,), math.log(4.0)))  # as in the reader
        self.values = nn.Linear(sizes.width, VALUES)

    def pointed(self, patches: Float[Tensor, "b n d"], positions: Tensor, similar: Float[Tensor, "b roles n"]) -> Pointed:
        found = super().pointed(patches, positions, similar)
        x = self.tokens(patches)
        with torch.autocast(patches.device.type, enabled=False):  # coordinates need fp32
            x = x.float()
            scores = (self.scores(x) * self.log_sharpness.exp()).transpose(1, 2).unflatten(1, (ROLES, self.each))  # (b, roles, q, n)
            attention = scores.masked_fill(~self.near(similar, positions)[:, :, None], -torch.inf).softmax(-1)
            seen = self.seen(similar.amax(-1, keepdim=True)).sigmoid()[:, :, None]  # (b, roles, 1, 1)
            keypoints = attention @ positions.unsqueeze(-3)  # (b, roles, q, 2)
            read = torch.cat([keypoints, attention @ self.values(x)[:, None]], -1) * seen
        return Pointed(torch.cat([found.features, read.flatten(1)], -1), found.keypoints, found.attention)
