"""Forecast: what comes next, from what a policy sees (spec A6, in the direction of time in which policies act).

Video prediction asks P (t) and M (t, t+k) for frame t+k: the answer is in M. A policy sees M (t−k, t), the change that led here, and P (t). Here these
two must predict frame t+k, k frames ahead: how fast and where to things move is asked of M, what and where they are of P.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from policy.channels import m_channels, p_channels
from policy.pretrain.video_prediction import VideoPrediction


class Forecast(VideoPrediction):
    """Its pictures are frames t−k, t and t+k. Settings are those of video prediction; nothing of M has to be hidden, since frame t+k is not in it."""

    frames = 3

    def pair(self, *pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures[1], pictures[2]

    def forward(  # type: ignore[override]
        self, before: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """Loss, figures to log, and the prediction. Frames in [0, 1]; P is taken from the newest frame that is seen (change=past)."""
        return self.learn(self.streams(m_channels(before, now), p_channels(now)), now, later, generator)

    def terms(self, before: Tensor, now: Tensor, later: Tensor, generator: torch.Generator) -> dict[str, Tensor]:  # type: ignore[override]
        return self.learn_in_parts(self.streams(m_channels(before, now), p_channels(now)), now, later, generator)[0]

    @torch.no_grad()
    def assess(  # type: ignore[override]
        self, before: Float[Tensor, "b 3 h w"], now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[dict[str, float], Tensor]:
        """As of video prediction; there is no reconstruction, since frame t+k is not seen."""
        figures, picture = self.judge(self.streams(m_channels(before, now), p_channels(now)), now, later, generator)
        return {name: value for name, value in figures.items() if name != "reconstruction_db"}, picture

    def keep_beside(self, out: Path, streams_sha256: str) -> None:  # type: ignore[override]
        """Nothing: what draws the future from the past is no tool for drawing a change that is known."""
