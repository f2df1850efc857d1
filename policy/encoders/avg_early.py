"""`encoder=avg_early`: the averages of `avg_late` joined by one FC to D, space averaged away (spec A12)."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from policy.config import PolicyConfig
from policy.encoders.avg_late import AvgLate
from policy.shapes import StreamTokens, Tokens


class AvgEarly(nn.Module):
    uses_streams: ClassVar[bool] = True

    def __init__(self, config: PolicyConfig, stream_dim: int, stream_grid: tuple[int, int]) -> None:
        super().__init__()
        self.dim, self.grid = stream_dim, stream_grid
        self.num_pooled, self.num_grids, self.num_tokens = 1, 0, 1
        self.average = AvgLate(config, stream_dim, stream_grid)
        self.join = nn.Linear(4 * stream_dim, stream_dim)

    def forward(self, tokens: StreamTokens) -> Tokens:
        late = self.average(tokens)
        return Tokens(self.join(late.values), late.positions)  # (b, 1, d)
