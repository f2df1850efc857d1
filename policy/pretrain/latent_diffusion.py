"""Video prediction by latent diffusion (spec A7): frame t+k from frame t and the change between them, as noise that is taken away step by step.

A frozen VAE turns frames into latents. A conditional U-Net learns which noise was added to the difference of the two latents; the change embedding and, as an
option, the fused patches are its context, the latent of frame t stands beside its input. Streams and fusion learn with it, unless they are `frozen`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from policy.channels import m_channels, p_channels
from policy.diffusion.denoiser import Denoiser
from policy.diffusion.generator import save_generator
from policy.diffusion.vae import Autoencoder, load_autoencoder
from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.engine import Engine
from policy.pretrain.hiding import without_patches
from policy.pretrain.objective import Objective
from policy.pretrain.video_prediction import moving_db
from policy.shapes import Tokens
from policy.streams import TwoStreamEncoder

LOOKED, STEPS = 16, 20  # pairs, and steps of their generation, of the figures on held-out clips


class LatentDiffusion(Objective):
    """Settings: `policy/conf/objective/latent_diffusion.yaml`. Raises BadInput for a VAE that is not there or does not fit the frames."""

    def __init__(
        self,
        streams: TwoStreamEncoder,
        vae: str | Autoencoder | None = None,
        fused_patches: bool = False,
        hidden_patches: float = 0.75,
        without_change: float = 0.1,
        widths: tuple[int, ...] = (32, 64, 96),
        ema: float = 0.999,
    ) -> None:
        super().__init__()
        self.autoencoder = vae if isinstance(vae, Autoencoder) else load_autoencoder(vae)
        self.autoencoder.check(streams.size)
        self.streams, self.hidden_patches, self.without_change, self.widths = streams, hidden_patches, without_change, tuple(widths)
        self.fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", "linear", "separate")
        self.mask = nn.Parameter(torch.zeros(streams.dim))
        self.denoiser = Denoiser(self.autoencoder.channels, streams.dim, self.widths, fused_patches)
        self.average = AveragedModel(self.denoiser, multi_avg_fn=_growing(ema)).requires_grad_(False)

    def end(self, engine: Engine) -> None:
        """The average follows the weights."""
        self.average.update_parameters(self.denoiser)

    def forward(
        self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], None]:
        """Loss and figures to log. Frames in [0, 1]; P is taken from the earlier one (change=future)."""
        b, n = len(now), self.streams.num_patches
        draw = torch.rand(b, n + 1, generator=generator, device=now.device)
        hidden, unknown = draw[:, :n] < self.hidden_patches, draw[:, n] < self.without_change
        context = self.denoiser.context(self.change(now, later, hidden), unknown)
        loss = self.denoiser.loss(self.autoencoder.encode(now), self.autoencoder.encode(later), context, generator)
        return loss, {"loss": loss.item()}, None

    def change(self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], hidden: Bool[Tensor, "b n"]) -> Tokens:
        """Fused, without the `hidden` patches of M."""
        tokens = self.streams(m_channels(now, later), p_channels(now))
        return self.fusion(without_patches(tokens, hidden, self.mask))

    @torch.no_grad()
    def assess(self, now: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"], generator: torch.Generator) -> tuple[dict[str, float], Tensor]:
        """dB on moving pixels for held-out pairs, by the averaged weights: generated from all of the change, from none of it, and beside copying frame t."""
        now, later = now[:LOOKED], later[:LOOKED]
        denoiser: Denoiser = self.average.module  # type: ignore[assignment]
        change = self.change(now, later, torch.zeros(len(now), self.streams.num_patches, dtype=torch.bool, device=now.device))
        latent = self.autoencoder.encode(now)
        context, unknown = denoiser.context(change), torch.ones(len(now), dtype=torch.bool, device=now.device)
        pictures = {
            "generated_db": self.autoencoder.decode(denoiser.generate(latent, context, STEPS, 0)),
            "without_change_db": self.autoencoder.decode(denoiser.generate(latent, denoiser.context(change, unknown), STEPS, 0)),
            "vae_db": self.autoencoder.decode(self.autoencoder.encode(later)),
            "copy_db": now,
        }
        return {name: moving_db(picture, later, now) for name, picture in pictures.items()}, pictures["generated_db"]

    def keep_beside(self, out: Path, streams_sha256: str) -> Path:
        """`out/diffusion`: the averaged denoiser and the autoencoder."""
        average: Denoiser = self.average.module  # type: ignore[assignment]
        return save_generator(out, self.autoencoder, average, self.widths, self.streams.dim, self.streams.size, streams_sha256)


def _growing(ema: float) -> Callable[[Any, Any, Any], None]:
    """A running mean that is short at first, as in diffusers' `EMAModel`: after a thousand steps of 0.999 a third of it would still be untrained weights."""

    def average(averaged: Any, current: Any, count: Any) -> None:
        get_ema_multi_avg_fn(min(ema, float((1 + count) / (10 + count))))(averaged, current, count)

    return average
