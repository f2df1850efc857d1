"""A frozen autoencoder between pictures and latents: diffusers' `AutoencoderKL`, from a folder (spec A7)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.diffusion.vae_folder import CONFIG, KIND, find_vae
from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.files import put, scratch

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


class Autoencoder(nn.Module):
    """Pictures in [0, 1] ↔ latents of about unit variance, by the folder's own scale. Frozen, in evaluation mode.

    `channels`: of a latent; `shrinks`: by how much its sides are shorter than a picture's.
    """

    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        config = dict(model.config)
        self.channels: int = config["latent_channels"]
        self.shrinks: int = 2 ** (len(config["block_out_channels"]) - 1)
        self.scale, self.shift = float(config["scaling_factor"]), float(config.get("shift_factor") or 0.0)

    @torch.no_grad()
    def encode(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """The mean latent."""
        return (self.model.encode(2 * pictures - 1).latent_dist.mean.float() - self.shift) * self.scale  # type: ignore[union-attr]

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        return ((self.model.decode(latents / self.scale + self.shift).sample.float() + 1) / 2).clamp(0, 1)  # type: ignore[union-attr]

    def check(self, size: int) -> None:
        """Raises BadInput for square pictures that do not divide into latents."""
        if size % self.shrinks:
            raise BadInput(f"size={size}: must be a multiple of {self.shrinks}, by which this VAE divides it")

    def train(self, mode: bool = True) -> Autoencoder:
        """Stays in evaluation mode."""
        return super().train(False)


def load_autoencoder(folder: str | Path | None, option: str = "objective.vae") -> Autoencoder:
    """From a local folder that diffusers wrote (`find_vae`). Raises BadInput, naming `option`, for anything else."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    config, weights = find_vae(folder, option)
    return Autoencoder(_filled(AutoencoderKL, config, weights, option))


def save_autoencoder(model: AutoencoderKL, folder: Path) -> Path:
    """As diffusers writes it, but its two files atomically, the weights first."""
    with scratch(folder) as written:
        model.save_pretrained(written, safe_serialization=True)
        for path in sorted(written.iterdir(), reverse=True):
            put(path, folder / path.name)
    return folder


def _filled(kind: type[AutoencoderKL], config: dict[str, object], weights: Path, option: str) -> AutoencoderKL:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model = kind.from_config(config)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError, ZeroDivisionError) as error:
        raise BadInput(f"{option}={weights.parent}: {CONFIG} describes no {KIND} ({str(error).splitlines()[0]:.200})") from None
    assert not isinstance(model, tuple)
    try:
        missing, strange = model.load_state_dict(load_file(weights), strict=False)
    except (RuntimeError, ValueError, SafetensorError, OSError) as error:
        if is_of_this_machine(error):
            raise
        raise BadInput(f"{option}={weights}: not weights of what {CONFIG} describes ({str(error).splitlines()[-1].strip():.200})") from None
    if missing or strange:
        raise BadInput(f"{option}={weights}: not weights of what {CONFIG} describes: {'no' if missing else 'also'} {(missing or strange)[0]}")
    return model.float()
