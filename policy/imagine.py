"""`python -m policy.imagine diffusion=FOLDER decoder=FOLDER data=FOLDER`: frame t+k as predicted by decoders from frame t and the change, beside the true one.

On held-out clips: a picture (frame t, frame t+k, U-Net decoder, latent diffusion, its error) and a table of errors, compared with copying frame t and with
diffusion without the change (docs/latent_diffusion.md).
"""

from __future__ import annotations

from policy.diffusion.imagine_settings import Settings
from whatwhere.command import command


def main(settings: Settings) -> None:
    from policy.diffusion.imagining import imagine

    imagine(settings)


if __name__ == "__main__":
    command("policy.conf", "imagine", Settings, main)
