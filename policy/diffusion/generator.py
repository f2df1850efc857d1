"""`generate(frame, change)`: the picture of frame t+k by latent diffusion; what `objective=latent_diffusion` keeps in `OUT/diffusion` (spec A7)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from msgspec import Meta
from torch import Tensor, nn

from policy.diffusion.denoiser import NOISE_STEPS, Denoiser
from policy.diffusion.needs import need_diffusers
from policy.diffusion.vae import Autoencoder, load_autoencoder, save_autoencoder
from policy.shapes import Tokens
from policy.storage.picture_tool import DIFFUSION, find_tool
from policy.storage.tensorfile import CONFIG, MODEL
from policy.storage.weights import restored, serialise
from whatwhere.errors import BadInput
from whatwhere.files import atomic, write_json

VAE = "vae"


class Record(TypedDict):
    """`config.json`."""

    format: Literal[1]
    kind: Literal["latent_diffusion"]
    sha256: str  # of the weights
    streams_sha256: str  # of the streams whose changes it was taught with
    size: Annotated[int, Meta(ge=8, le=4096)]
    channels: Annotated[int, Meta(ge=1, le=1024)]
    dim: Annotated[int, Meta(ge=1, le=8192)]
    widths: Annotated[list[Annotated[int, Meta(ge=8, le=4096)]], Meta(min_length=1, max_length=6)]
    patches: bool


class FrameGenerator(nn.Module):
    """A frozen autoencoder and a denoiser. `size`: pixels of the square frames; `streams_sha256`: those whose changes it understands."""

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser, size: int, streams_sha256: str = "") -> None:
        super().__init__()
        self.autoencoder, self.denoiser, self.size, self.streams_sha256 = autoencoder, denoiser.requires_grad_(False), size, streams_sha256
        self.eval()

    @staticmethod
    def from_pretrained(folder: str | Path, option: str = "diffusion", device: str | torch.device = "cpu") -> FrameGenerator:
        """From `OUT/diffusion`, or the OUT of the run that wrote it. Raises BadInput, naming `option`."""
        need_diffusers(option)
        folder, record = find_tool(folder, DIFFUSION, option, Record)
        autoencoder = load_autoencoder(folder / VAE, option)
        autoencoder.check(record["size"])
        if autoencoder.channels != record["channels"]:
            raise BadInput(f"{folder / VAE}: latents of {autoencoder.channels} channels; needs {record['channels']} ({CONFIG})")

        def make() -> Denoiser:
            return Denoiser(record["channels"], record["dim"], tuple(record["widths"]), record["patches"])

        return FrameGenerator(autoencoder, restored(make, {"": folder / MODEL}).float(), record["size"], record["streams_sha256"]).to(device)

    @torch.no_grad()
    def generate(self, frame: Shaped[Tensor, "b h w 3"], change: Tokens | None, steps: int = 50, seed: int = 0) -> Float[Tensor, "b h w 3"]:
        """Frame t, uint8 or in [0, 1], and what a `ChangeEncoder` says of (t, t+k) → frame t+k in [0, 1]. Without a change: one that could have followed.

        The same seed gives the same picture. Raises BadInput for other sizes.
        """
        if frame.shape[1:3] != (self.size, self.size):
            raise BadInput(f"frames of {tuple(frame.shape[1:3])} pixels: this diffusion needs {self.size} × {self.size}")
        if not 1 <= steps <= NOISE_STEPS:
            raise BadInput(f"steps={steps}: must be at least 1, at most {NOISE_STEPS}")
        pixels = frame.float() / 255 if frame.dtype == torch.uint8 else frame.float()
        now = self.autoencoder.encode(rearrange(pixels, "b h w rgb -> b rgb h w"))
        context = self.denoiser.nothing.expand(len(now), 1, -1) if change is None else self.denoiser.context(change)
        later = self.autoencoder.decode(self.denoiser.generate(now, context, steps, seed))
        return rearrange(later, "b rgb h w -> b h w rgb")


def save_generator(out: Path, autoencoder: Autoencoder, denoiser: Denoiser, widths: tuple[int, ...], dim: int, size: int, streams_sha256: str) -> Path:
    """Writes `out/diffusion`: the denoiser in fp16, what it is made of, and the autoencoder beside it."""
    folder = out / "diffusion"
    data, _ = serialise(denoiser)
    save_autoencoder(autoencoder.model, folder / VAE)
    with atomic(folder / MODEL) as path:
        path.write_bytes(data)
    sizes = {"size": size, "channels": denoiser.channels, "dim": dim, "widths": list(widths), "patches": denoiser.patches}
    write_json(
        folder / CONFIG,
        {"format": 1, "kind": DIFFUSION.kind, "sha256": hashlib.sha256(data).hexdigest(), "streams_sha256": streams_sha256} | sizes,
    )
    return folder
