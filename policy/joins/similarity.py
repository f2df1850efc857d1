"""`join=similarity`: the instruction's words against every patch: a map a thing that is named, whose peak is where that thing lies.

Made for `language=aligned`, which has queries for what is meant and for what it is put beside or upon (of other languages the whole instruction is one); play
teaches both (`python -m policy.align`). Nothing but these maps is read of the picture: what a thing looks like cannot decide what is done with it, so that
a policy whose demonstrations show one thing can be told to take another.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.joins.join import Join, Pointed, Sizes
from policy.shapes import Tokens, Words

ROLES = 2
WAVES = (1, 2, 4)  # half waves over the picture
NUMBERS = 1 + 2 + 4 * len(WAVES)  # of a thing: whether it is seen, x and y, and waves of both
WITHIN = 1.5  # cells around the peak in which its place is averaged


class Similarity(Join):
    """Over the last grid of the tokens: P of `encoder=all_patches_late`. Encoders without space leave it nothing to point at."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.points = sizes.num_grids > 0
        if not self.points:
            return
        self.grid = sizes.grid
        self.num_pooled, self.num_grids, self.extra = 0, 0, ROLES * NUMBERS
        self.enter = nn.Sequential(nn.LayerNorm(sizes.dim), nn.Linear(sizes.dim, sizes.width), nn.GELU())
        self.around = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)
        self.leave = nn.Sequential(nn.GELU(), nn.Linear(sizes.width, sizes.words_dim))
        self.seen = nn.Linear(1, 1)  # of the peak: whether the thing is in the picture

    def point(self, tokens: Tokens, words: Words) -> Pointed | None:
        if not self.points:
            return None
        rows, columns = self.grid
        patches = tokens.placed[:, -rows * columns :]
        embedded = self.embed(patches)
        positions = tokens.positions[..., -rows * columns :, :]
        asked = words.pooled[:, None].expand(-1, ROLES, -1) if words.queries is None else words.queries
        with torch.autocast(patches.device.type, enabled=False):  # coordinates need fp32
            similar = asked.float() @ embedded.float().transpose(1, 2)
        return self.pointed(patches, positions, similar)

    def embed(self, patches: Float[Tensor, "b n d"]) -> Float[Tensor, "b n e"]:
        """What each patch is in the words' terms, of length 1."""
        x = self.enter(patches)
        maps = x.transpose(1, 2).unflatten(2, self.grid)  # (b, width, rows, columns)
        return F.normalize(self.leave(x + self.around(maps).flatten(2).transpose(1, 2)), dim=-1)

    def pointed(self, patches: Float[Tensor, "b n d"], positions: Tensor, similar: Float[Tensor, "b roles n"]) -> Pointed:
        """What is given on of a camera's picture."""
        with torch.autocast(similar.device.type, enabled=False):  # coordinates need fp32
            return self.found(similar, positions)

    def near(self, similar: Float[Tensor, "b roles n"], positions: Tensor) -> Bool[Tensor, "b roles n"]:
        """The cells around the peak of each map."""
        peak = similar.amax(-1, keepdim=True)
        first = (similar >= peak) & ((similar >= peak).cumsum(-1) == 1)
        middle = first.to(similar.dtype) @ positions  # (b, roles, 2)
        cell = torch.tensor([2 / self.grid[1], 2 / self.grid[0]], device=similar.device)
        return ((positions.unsqueeze(-3) - middle[:, :, None]).abs() < WITHIN * cell).all(-1)

    def found(self, similar: Float[Tensor, "b roles n"], positions: Tensor) -> Pointed:
        """Where each map has its peak, between the cells, and whether that is one."""
        attention = similar.softmax(-1)
        peak = similar.amax(-1, keepdim=True)
        here = attention * self.near(similar, positions)
        xy = (here / here.sum(-1, keepdim=True)) @ positions
        seen = self.seen(peak).sigmoid()  # (b, roles, 1)
        waves = [wave(math.pi / 2 * number * xy) for number in WAVES for wave in (torch.sin, torch.cos)]
        return Pointed((torch.cat([torch.ones_like(seen), xy, *waves], -1) * seen).flatten(1), xy, attention)
