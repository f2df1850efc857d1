"""The inverse-dynamics head: reads coordinates out of a token grid, then predicts a chunk of actions (spec A9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from policy.shapes import Tokens
from whatwhere.errors import BadInput

WIDTH = 128  # of a token inside the head
FEATURES = 256  # what a camera contributes at most
POOLED_FEATURES = 64  # of these for tokens without a place, where there are tokens with one
PROPRIO_FEATURES = 64
LATER = 0.5  # what an action of a chunk counts beside the one before it: the first is executed, the others teach


@dataclass(frozen=True)
class Prediction:
    """A chunk of actions, and where the head looked. `keypoints` are x, y in [-1, 1]; both are None if no token has a place."""

    actions: Float[Tensor, "b k a"]
    keypoints: Float[Tensor, "b c q 2"] | None = None
    attention: Float[Tensor, "b c q n"] | None = None


class GridMlp(nn.Module):
    """Per token: LayerNorm, two layers with GELU, and a depthwise 3×3 look at the neighbours in between."""

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.enter = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, WIDTH), nn.GELU())
        self.neighbours = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        b, n, _ = tokens.shape
        x = self.enter(tokens)  # (b, n, width)
        maps = x.reshape(-1, *self.grid, WIDTH).permute(0, 3, 1, 2)  # one map a grid: (b · grids, width, rows, columns)
        around = self.neighbours(maps).permute(0, 2, 3, 1).reshape(b, n, WIDTH)
        return self.leave(x + around)


class CameraReader(nn.Module):
    """Tokens of one camera → a vector: expected x, y and attended features of each keypoint, and the pooled tokens' features."""

    def __init__(self, dim: int, grid: tuple[int, int], num_pooled: int, num_grids: int, keypoints: int) -> None:
        super().__init__()
        self.dim_out = 0
        self.spatial = num_grids > 0
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

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor | None, Tensor | None]:
        parts: list[Tensor] = []
        keypoints = attention = None
        if self.spatial:
            x = self.tokens(tokens.placed)  # (b, n, width)
            with torch.autocast(x.device.type, enabled=False):  # coordinates need fp32: eight bits of bf16 are a third of a pixel
                x = x.float()
                scores = self.scores(x) * self.log_sharpness.exp()
                attention = scores.softmax(dim=1).transpose(1, 2)  # (b, q, n)
                keypoints = attention @ tokens.positions  # (b, q, 2)
                parts += [keypoints.flatten(1), (attention @ self.values(x)).flatten(1)]
        if tokens.pooled.shape[1]:
            parts.append(self.pooled(tokens.pooled.flatten(1)))
        return torch.cat(parts, dim=-1), keypoints, attention


class KeypointHead(nn.Module):
    """One reader a camera, then proprio and task beside it, then an MLP to the chunk.

    `hidden`, the MLP's width, is chosen such that the head has `parameters` parameters whatever the encoder: tables compare
    encoders under heads of the same size. `dim`, `grid`, `num_pooled`, `num_grids` are the encoder's. Raises BadInput if
    `parameters` is too small.
    """

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        num_pooled: int,
        num_grids: int,
        cameras: int,
        proprio_dim: int,
        task_dim: int,
        chunk: int,
        action_dim: int,
        keypoints: int = 32,
        parameters: int = 600_000,
        proprio_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim, self.proprio_dropout = chunk, action_dim, proprio_dropout
        self.readers = nn.ModuleList(CameraReader(dim, grid, num_pooled, num_grids, keypoints) for _ in range(cameras))
        self.proprio = nn.Sequential(nn.Linear(proprio_dim, PROPRIO_FEATURES), nn.LayerNorm(PROPRIO_FEATURES), nn.GELU())
        seen = sum(reader.dim_out for reader in self.readers) + PROPRIO_FEATURES + task_dim  # type: ignore[misc]
        self.hidden = _hidden(parameters - count(self), seen, chunk * action_dim)
        if self.hidden < 16:
            raise BadInput(f"head_parameters={parameters}: too few for {keypoints} keypoints on {cameras} cameras; needs at least {count(self) + 20 * seen}")
        self.act = nn.Sequential(
            nn.LayerNorm(seen),
            nn.Linear(seen, self.hidden),
            nn.GELU(),
            nn.Linear(self.hidden, self.hidden),
            nn.GELU(),
            nn.Linear(self.hidden, chunk * action_dim),
        )
        last = self.act[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)  # start near "do nothing"
        nn.init.zeros_(last.bias)

    def forward(self, cameras: list[Tokens], proprio: Float[Tensor, "b s"], task: Float[Tensor, "b e"]) -> Prediction:
        read = [reader(tokens) for reader, tokens in zip(self.readers, cameras, strict=True)]
        own = self.proprio(proprio)
        if self.training and self.proprio_dropout:
            own = own * (torch.rand(len(own), 1, device=own.device) >= self.proprio_dropout)
        seen = torch.cat([features for features, _, _ in read] + [own, task], dim=-1)
        actions = self.act(seen).reshape(-1, self.chunk, self.action_dim)
        if read[0][1] is None:
            return Prediction(actions)
        return Prediction(actions, torch.stack([xy for _, xy, _ in read], dim=1), torch.stack([weight for _, _, weight in read], dim=1))

    @staticmethod
    def loss(predicted: Float[Tensor, "b k a"], target: Float[Tensor, "b k a"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, ""]:
        """Mean absolute error over the valid steps, each of which counts half as much as the one before; `mask` is False past the episode's end.

        L1 for the gripper as well: its median is a decision (±1) where demonstrations disagree, as a squared error's mean is not.
        """
        error = F.l1_loss(predicted, target, reduction="none").mean(dim=-1)  # (b, k)
        weight = mask * LATER ** torch.arange(mask.shape[1], device=mask.device)
        return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _hidden(budget: int, inside: int, out: int) -> int:
    """Width x of an MLP inside → x → x → out whose parameters x² + (inside + out + 2)·x + out + 2·inside meet the budget."""
    half = (inside + out + 2) / 2
    left = budget - out - 2 * inside
    return int(math.sqrt(half * half + left) - half) if left > 0 else 0
