"""`python -m policy.autoencoder data=data/play out=outputs/vae`: trains a small VAE on pictures, for `objective=latent_diffusion` (docs/latent_diffusion.md).

Written as a diffusers `AutoencoderKL` folder, `out/vae`, for `objective.vae=`. A killed run resumes, with a bitwise identical result.
"""

from __future__ import annotations

from policy.diffusion.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.diffusion.autoencoding import autoencode

    autoencode(settings)


if __name__ == "__main__":
    command("policy.conf", "autoencoder", Settings, main)
