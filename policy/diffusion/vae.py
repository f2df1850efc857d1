"""A frozen autoencoder between pictures and latents: diffusers' `AutoencoderKL`, from a folder (spec A7)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.storage.stored import default_streams
from policy.storage.tensorfile import read_header
from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.files import read_json

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

CONFIG = "config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
KIND, BESIDE = "AutoencoderKL", "vae"


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


def load_autoencoder(folder: str | Path, option: str = "objective.vae") -> Autoencoder:
    """From a local folder that diffusers wrote (`config.json` and one .safetensors file). Raises BadInput, naming `option`, for anything else."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{option}={folder}: no such folder; make one with python -m policy.autoencoder")
    if not (folder / CONFIG).is_file():
        inside = f"; give {folder / 'vae'}" if (folder / "vae" / CONFIG).is_file() else ""
        raise BadInput(f"{option}={folder}: no {CONFIG} in it; needs the folder of a diffusers {KIND}{inside}")
    config = read_json(folder / CONFIG)
    kind = config.get("_class_name") if isinstance(config, dict) else None
    if kind != KIND:
        raise BadInput(f"{option}={folder}: {CONFIG} describes {f'a {kind}' if kind else 'no model of diffusers'}; needs an {KIND}")
    name = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if name is None:
        raise BadInput(f"{option}={folder}: no {WEIGHTS[0]} in it; other files of weights are not read")
    try:
        read_header(folder / name)
    except BadInput as error:
        raise BadInput(f"{option}={error}") from None
    return Autoencoder(_filled(AutoencoderKL, config, folder / name, option))


def shipped_vae() -> Path:
    """The folder of the small VAE beside the shipped streams. Raises BadInput if there is none."""
    folder = default_streams() / BESIDE
    if not (folder / CONFIG).is_file():
        raise BadInput("objective.vae: none shipped; make one with python -m policy.autoencoder, and give objective.vae=FOLDER")
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
