"""`python -m policy.autoencoder data=data/play out=outputs/vae`: a small VAE for `objective=latent_diffusion`, trained on pictures (docs/latent_diffusion.md).

Written as a diffusers `AutoencoderKL` folder, `out/vae`, which is what `objective.vae=` takes. A run that was killed goes on, with the same result to the bit.
"""

from __future__ import annotations

from policy.diffusion.settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.diffusion.autoencoding import autoencode

    autoencode(settings)


if __name__ == "__main__":
    command("policy.conf", "autoencoder", Settings, main)
