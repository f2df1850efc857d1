"""The reader: coordinates and features out of the token grids of all cameras, beside proprio and task. Every head decodes what it found (spec A9)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.heads.grid import WIDTH, GridMlp
from policy.joins.join import Join
from policy.shapes import Reading, Tokens, Words

FEATURES = 256  # what a camera contributes at most
POOLED_FEATURES = 64  # of these for tokens without a place, where there are tokens with one
PROPRIO_FEATURES = 64


class CameraReader(nn.Module):
    """Tokens of one camera → a vector: expected x, y and attended features of each keypoint, and the pooled tokens' features."""

    def __init__(self, dim: int, grid: tuple[int, int], num_pooled: int, num_grids: int, keypoints: int, extra: int = 0) -> None:
        super().__init__()
        self.dim_out = extra
        self.spatial, self.num_pooled = num_grids > 0, num_pooled
        if num_pooled:
            out = POOLED_FEATURES if self.spatial else FEATURES
            inside = num_pooled * dim
            self.pooled = nn.Sequential(nn.LayerNorm(inside), nn.Linear(inside, WIDTH), nn.GELU(), nn.Linear(WIDTH, out), nn.GELU())
            self.dim_out += out
        if self.spatial:
            value_dim = max(1, (FEATURES - POOLED_FEATURES) // keypoints - 2)
            self.tokens = GridMlp(dim, grid)
            self.scores = nn.Linear(WIDTH, keypoints)
            # learned sharpness; with 1 the keypoints stay at the picture's centre for long, with 10 the CNN starts late
            self.log_sharpness = nn.Parameter(torch.full((keypoints,), math.log(4.0)))
            self.values = nn.Linear(WIDTH, value_dim)
            self.dim_out += keypoints * (2 + value_dim)

    def forward(self, tokens: Tokens, join: Join | None = None, words: Words | None = None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        asked = None
        parts: list[Tensor] = []
        keypoints = attention = None
        if self.spatial:
            x = self.tokens(tokens.placed)  # (b, n, width)
            if join is not None and words is not None:
                x, asked = join.on_grid(x, words), join.queries(words)
            with torch.autocast(x.device.type, enabled=False):  # coordinates need fp32: eight bits of bf16 are a third of a pixel
                x = x.float()
                scores = self.scores(x)
                if asked is not None:
                    scores = scores + x @ asked.float().transpose(1, 2) / math.sqrt(WIDTH)
                scores = scores * self.log_sharpness.exp()
                attention = scores.softmax(dim=1).transpose(1, 2)  # (b, q, n)
                keypoints = attention @ tokens.positions  # (b, q, 2)
                parts += [keypoints.flatten(1), (attention @ self.values(x)).flatten(1)]
        elif join is not None and words is not None and (pointed := join.point(tokens, words)) is not None:
            keypoints, attention = pointed.keypoints, pointed.attention
            parts.append(pointed.features)
        if self.num_pooled:
            parts.append(self.pooled(tokens.pooled.flatten(1)))
        found = torch.cat(parts, dim=-1)
        return found if join is None or words is None else join.beside(found, words), keypoints, attention


class Reader(nn.Module):
    """One `CameraReader` a camera, then proprio and task beside what they found: `dim` numbers. The other sizes are the encoder's."""

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        num_pooled: int,
        num_grids: int,
        cameras: int,
        proprio_dim: int,
        task_dim: int,
        keypoints: int = 32,
        proprio_dropout: float = 0.0,
        extra: int = 0,
    ) -> None:
        super().__init__()
        self.proprio_dropout = proprio_dropout
        self.cameras = nn.ModuleList(CameraReader(dim, grid, num_pooled, num_grids, keypoints, extra) for _ in range(cameras))
        self.proprio = nn.Sequential(nn.Linear(proprio_dim, PROPRIO_FEATURES), nn.LayerNorm(PROPRIO_FEATURES), nn.GELU())
        self.dim: int = sum(camera.dim_out for camera in self.cameras) + PROPRIO_FEATURES + task_dim  # type: ignore[misc]

    def forward(
        self,
        cameras: list[Tokens],
        proprio: Float[Tensor, "b s"],
        task: Float[Tensor, "b e"],
        joins: Sequence[Join] | None = None,
        words: Words | None = None,
    ) -> Reading:
        """`joins`: one a camera, which take `words` in where places are chosen."""
        each = joins or [None] * len(cameras)
        read = [camera(tokens, join, words) for camera, tokens, join in zip(self.cameras, cameras, each, strict=True)]
        features = self.beside([found for found, _, _ in read], proprio, task)
        if read[0][1] is None:
            return Reading(features)
        return Reading(features, torch.stack([xy for _, xy, _ in read], dim=1), torch.stack([weight for _, _, weight in read], dim=1))

    def beside(self, found: Sequence[Tensor], proprio: Float[Tensor, "b s"], task: Float[Tensor, "b e"]) -> Float[Tensor, "b f"]:
        """What was found in each camera's picture, and beside it proprio and task."""
        if self.training and self.proprio_dropout:  # a hidden number is the mean of all demonstrations
            proprio = proprio * (torch.rand_like(proprio) >= self.proprio_dropout)
        return torch.cat([*found, self.proprio(proprio), task], dim=-1)
