"""The network of latent diffusion: which noise is in a noisy difference of two latents, given the first of them and the change (spec A7)."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from policy.shapes import Tokens, cell_centres

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

NOISE_STEPS = 1000
SCHEDULE = {"num_train_timesteps": NOISE_STEPS, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}  # Rombach et al. 2022
HEADS, GROUPS = 4, 8
WHERE = 6  # numbers that say where a place is
PLACED = 16  # channels in which the fused patches stand beside the latent, each at its place


class Denoiser(nn.Module):
    """Diffusers' conditional U-Net. It reads a noisy difference latent(t+k) − latent(t), latent(t) beside it, and where each cell lies; the change embedding
    and, with `patches`, the fused patches are the context of its cross-attention. The patches also stand beside its input, each at its place: finding by
    attention where each belongs takes far longer to learn.

    channels: of a latent; dim: of a token; widths: of the U-Net at the latent's own size, at half of it, …
    Of three widths or more, the first is without attention, which would cost most there.
    What is diffused is the difference, because most of a picture stays as it is: there the difference is zero, and nothing has to be learnt anew. For the same
    reason it is small; it is divided by `spread`, the deviation of the differences of the first batch, so that noise of deviation 1 does not drown it.
    """

    def __init__(self, channels: int, dim: int, widths: tuple[int, ...], patches: bool) -> None:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        super().__init__()
        self.channels, self.patches = channels, patches
        plain = int(len(widths) > 2)
        self.unet = UNet2DConditionModel(
            in_channels=2 * channels + WHERE + PLACED * patches,
            out_channels=channels,
            block_out_channels=tuple(widths),  # type: ignore[arg-type]
            down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * (len(widths) - plain),  # type: ignore[arg-type]
            up_block_types=("CrossAttnUpBlock2D",) * (len(widths) - plain) + ("UpBlock2D",) * plain,  # type: ignore[arg-type]
            layers_per_block=1,
            cross_attention_dim=dim,
            attention_head_dim=HEADS,  # the number of heads, in spite of its name
            norm_num_groups=GROUPS,
        )
        self.nothing = nn.Parameter(torch.zeros(dim))  # in place of the change, where it is not known
        self.place = nn.Linear(WHERE, dim) if patches else None
        self.placed = nn.Linear(dim, PLACED) if patches else None
        self.spread: Tensor
        self.register_buffer("spread", torch.zeros(()))  # 0: not measured yet

    def context(self, change: Tokens, unknown: Bool[Tensor, " b"] | None = None) -> Float[Tensor, "b l d"]:
        """What cross-attention looks at; nothing of the change where `unknown`."""
        told = change.pooled[:, :1].float()
        if self.place is not None:
            told = torch.cat([told, change.placed.float() + self.place(_where(change.positions)).float()], dim=1)
        if unknown is None:
            return told
        return torch.where(unknown[:, None, None], self.nothing, told)

    def forward(
        self, noisy: Float[Tensor, "b c y x"], now: Float[Tensor, "b c y x"], step: Int[Tensor, " b"], context: Float[Tensor, "b l d"]
    ) -> Float[Tensor, "b c y x"]:
        """The noise that it finds. `step`: of NOISE_STEPS, 0 the least noisy."""
        y, x = noisy.shape[-2:]
        where = rearrange(_where(cell_centres((y, x)).to(noisy)), "(y x) w -> w y x", y=y).expand(len(noisy), -1, -1, -1)
        beside = [] if self.placed is None else [_spaced(self.placed(context), y, x)]
        return self.unet(torch.cat([noisy, now, where, *beside], dim=1), step, encoder_hidden_states=context).sample.float()

    def loss(self, now: Tensor, later: Tensor, context: Tensor, generator: torch.Generator) -> Float[Tensor, ""]:
        """Mean squared error of the noise (Ho et al. 2020), at a random noise step for each sample."""
        if not self.spread:
            self.spread.fill_((later - now).std().clamp_min(1e-3))
            if torch.distributed.is_initialized():  # of several processes the first one's, from the first step on
                torch.distributed.broadcast(self.spread, 0)
        step = torch.randint(0, NOISE_STEPS, (len(now),), generator=generator, device=now.device)
        noise = torch.randn(now.shape, generator=generator, device=now.device)
        noisy = noising().add_noise((later - now) / self.spread, noise, step)  # type: ignore[arg-type]
        return F.mse_loss(self(noisy, now, step, context), noise)

    @torch.no_grad()
    def generate(self, now: Float[Tensor, "b c y x"], context: Float[Tensor, "b l d"], steps: int, seed: int) -> Float[Tensor, "b c y x"]:
        """latent(t+k) by DDIM (Song et al. 2021) in `steps` steps. The same seed gives the same noise on every device."""
        scheduler = denoising(steps)
        x = torch.randn(now.shape, generator=torch.Generator().manual_seed(seed)).to(now.device) * scheduler.init_noise_sigma
        for step in scheduler.timesteps.tolist():
            noise = self(x, now, torch.full((len(now),), step, device=now.device), context)
            x = scheduler.step(noise, step, x, eta=0.0).prev_sample  # type: ignore[union-attr, arg-type]
        return now + x * self.spread


@cache
def noising() -> DDPMScheduler:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    return DDPMScheduler(**SCHEDULE)


def denoising(steps: int) -> DDIMScheduler:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")  # trailing: begins where there is most noise
    scheduler.set_timesteps(steps)
    return scheduler


def _spaced(tokens: Float[Tensor, "b l d"], y: int, x: int) -> Float[Tensor, "b d y x"]:
    """All tokens but the first, each over its square of the y × x cells; the first everywhere if it is alone, as where no change is known."""
    tokens = tokens if tokens.shape[1] == 1 else tokens[:, 1:]
    side = math.isqrt(tokens.shape[1])
    return F.interpolate(rearrange(tokens, "b (y x) d -> b d y x", y=side), size=(y, x), mode="nearest")


def _where(positions: Float[Tensor, "*b n 2"]) -> Float[Tensor, "*b n w"]:
    """x, y in [-1, 1], and their waves."""
    return torch.cat([positions, torch.sin(math.pi * positions), torch.cos(math.pi * positions)], dim=-1)
