"""Video prediction that cannot copy: frame t+k from the patches of P(t) and of a mostly hidden M(t, t+k) (spec A6).

P(t) + ΔRGB *is* frame t+k, so most patches of M are replaced by a learned token before fusion: where the change is hidden, the prediction must
come from what the visible patches tell about the motion. No picture features of another encoder reach the decoder, so P must carry the scene.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from policy.channels import m_channels, p_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.streams import TwoStreamEncoder


class VideoPrediction(nn.Module):
    """Streams, fusion and a small convolutional decoder of patches. Only streams and fusion are kept (spec A20)."""

    def __init__(self, streams: TwoStreamEncoder, hidden: float = 0.75, patch: int = 8):
        super().__init__()
        self.streams, self.hidden, self.patch = streams, hidden, patch
        self.fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", "linear", "separate")
        self.mask = nn.Parameter(torch.zeros(streams.dim))
        d = streams.dim
        self.decoder = nn.Sequential(
            nn.Conv2d(d, d, 3, padding=1), nn.GELU(), nn.Conv2d(d, d, 3, padding=1), nn.GELU(), nn.Conv2d(d, 3 * patch * patch, 1)
        )
        for layer in (self.decoder[0], self.decoder[2]):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
        nn.init.zeros_(self.decoder[4].weight)  # type: ignore[arg-type]
        nn.init.constant_(self.decoder[4].bias, 0.5)  # type: ignore[arg-type]  # begin at grey: from random pixels it took thousands of steps to find colours

    def forward(
        self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """Loss, figures to log, and the prediction. Frames in [0, 1]; P is always taken from the earlier frame (change=future)."""
        tokens = self.streams(m_channels(now, later), p_channels(now))
        b, n, _ = tokens.m_patches.shape
        seen = torch.rand(b, n, 1, generator=generator, device=now.device) >= self.hidden
        tokens = dataclasses.replace(tokens, m_patches=torch.where(seen, tokens.m_patches, self.mask.to(tokens.m_patches.dtype)))
        patches = self.fusion(tokens).placed  # (b, n, d)
        rows = self.streams.grid[0]
        pixels = self.decoder(rearrange(patches, "b (y x) d -> b d y x", y=rows))
        picture = rearrange(pixels, "b (c i j) y x -> b c (y i) (x j)", i=self.patch, j=self.patch).float()
        moving = ((later - now).abs().amax(1, keepdim=True) > 8 / 255).float()
        error = (picture - later).square()
        colour = (picture - later) - (picture - later).mean(1, keepdim=True)  # what is left beside luminance: small, and it tells objects apart
        loss = (error * (1 + 4 * moving)).mean() + 5 * colour.square().mean() + 0.5 * _edges(picture - later)
        with torch.no_grad():
            here = moving.sum().clamp(min=1) * 3
            figures = {
                "loss": loss.item(),
                "psnr_moving_db": _db((error * moving).sum() / here),
                "copy_moving_db": _db(((now - later).square() * moving).sum() / here),
                "psnr_db": _db(error.mean()),
            }
        return loss, figures, picture


def _edges(difference: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean absolute error of the picture's gradients: blurred objects cost, so that edges (where things are) are kept."""
    return F.l1_loss(difference[..., 1:], difference[..., :-1]) + F.l1_loss(difference[..., 1:, :], difference[..., :-1, :])


def _db(mse: Tensor) -> float:
    return float(-10 * torch.log10(mse.clamp(min=1e-8)))
