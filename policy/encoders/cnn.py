"""`encoder=cnn_keypoints` and its average-pooled twin `cnn_avg`: a small convolutional net from scratch on the nine channels, or on those of
one stream (`streams_used`)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from policy.ablation import STREAMS
from policy.config import PolicyConfig
from policy.shapes import Channels, Tokens, cell_centres
from policy.streams import M_CHANNELS, P_CHANNELS
from whatwhere.errors import BadInput

WIDTHS = (32, 64, 96)
STRIDE = 2 ** len(WIDTHS)


class SmallCnn(nn.Module):
    """M and P stacked (9, h, w), or the one that is used, → 96 channels at an eighth of the size; 96 px: 48 → 24 → 12."""

    def __init__(self, used: str) -> None:
        super().__init__()
        self.used = tuple(STREAMS) if used == "both" else (used,)
        layers: list[nn.Module] = []
        before = sum({"m": M_CHANNELS, "p": P_CHANNELS}[stream] for stream in self.used)
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.GroupNorm(8, width), nn.ReLU()]
            before = width
        layers += [nn.Conv2d(before, before, 3, padding=1), nn.GroupNorm(8, before), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, channels: Channels) -> Tensor:
        return self.layers(torch.cat([getattr(channels, stream) for stream in self.used], dim=1))  # (b, 96, h/8, w/8)


class CnnKeypoints(nn.Module):
    """The feature map as tokens with places: the head reads coordinates out of it."""

    uses_streams: ClassVar[bool] = False
    positions: Tensor

    def __init__(self, config: PolicyConfig, stream_dim: int | None = None, stream_grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        if config.size % STRIDE:
            raise BadInput(f"size={config.size}: must be a multiple of {STRIDE} for {config.encoder}")
        self.dim, self.grid = WIDTHS[-1], (config.size // STRIDE, config.size // STRIDE)
        self.num_pooled, self.num_grids, self.num_tokens = 0, 1, self.grid[0] * self.grid[1]
        self.net = SmallCnn(config.streams_used)
        # with stride 2 and kernels of 3, cell i looks at the neighbourhood of pixel 8·i, 3.5 px before the cell's centre
        self.register_buffer("positions", cell_centres(self.grid) - (STRIDE - 1) / config.size, persistent=False)

    def forward(self, channels: Channels) -> Tokens:
        return Tokens(self.net(channels).flatten(2).transpose(1, 2), self.positions)  # (b, n, 96)


class CnnAverage(nn.Module):
    """The same net, its map averaged over the picture: what is there, not where."""

    uses_streams: ClassVar[bool] = False

    def __init__(self, config: PolicyConfig, stream_dim: int | None = None, stream_grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        whole = CnnKeypoints(config)
        self.dim, self.grid, self.net = whole.dim, whole.grid, whole.net
        self.num_pooled, self.num_grids, self.num_tokens = 1, 0, 1

    def forward(self, channels: Channels) -> Tokens:
        values = self.net(channels).mean(dim=(2, 3))  # (b, 96)
        return Tokens(values[:, None], values.new_zeros(0, 2))
