"""The decoder of video prediction on disk: `OUT/decoder`, a tool that makes pictures of changes. Policies need none of it (spec A20)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from policy.pretrain.picture_decoder import PictureDecoder
from policy.shapes import Tokens
from policy.storage.decoder_files import find_decoder
from policy.storage.picture_tool import DECODER
from policy.storage.tensorfile import CONFIG, MODEL
from policy.storage.weights import restored, serialise
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput
from whatwhere.files import atomic, write_json


class FrameDecoder(nn.Module):
    """Frame t and a change → frame t+k, by the U-Net of video prediction. `size`: pixels of the square frames."""

    def __init__(self, dim: int, grid: tuple[int, int], patch: int, image_encoder: str | None) -> None:
        super().__init__()
        self.image_encoder = None
        if image_encoder is not None:
            import timm

            self.image_encoder = timm.create_model(image_encoder, features_only=True, out_indices=tuple(range(patch.bit_length() - 1)))
        channels = list(self.image_encoder.feature_info.channels())[::-1] if self.image_encoder is not None else []  # type: ignore[union-attr]
        self.decoder = PictureDecoder(dim, grid, patch, channels)
        self.size, self.streams_sha256 = patch * grid[0], ""

    @staticmethod
    def from_pretrained(folder: str | Path, option: str = "decoder", device: str | torch.device = "cpu") -> FrameDecoder:
        """From `OUT/decoder`, or the OUT of the run that wrote it. Raises BadInput, naming `option`."""
        folder, record = find_decoder(folder, option)
        check_encoder(record["image_encoder"], folder / CONFIG)

        def make() -> FrameDecoder:
            return FrameDecoder(record["dim"], (record["grid"][0], record["grid"][1]), record["patch"], record["image_encoder"])

        decoder = restored(make, {"": folder / MODEL}).float().requires_grad_(False).eval()
        decoder.streams_sha256 = record["streams_sha256"]
        return decoder.to(device)

    @torch.no_grad()
    def generate(self, frame: Shaped[Tensor, "b h w 3"], change: Tokens) -> Float[Tensor, "b h w 3"]:
        """Frame t, uint8 or in [0, 1], and what a `ChangeEncoder` says of (t, t+k) → frame t+k in [0, 1]. Raises BadInput for other sizes."""
        if frame.shape[1:3] != (self.size, self.size):
            raise BadInput(f"frames of {tuple(frame.shape[1:3])} pixels: this decoder needs {self.size} × {self.size}")
        features: list[Tensor] = []
        if self.image_encoder is not None:
            pixels = frame.float() / 255 if frame.dtype == torch.uint8 else frame.float()
            features = self.image_encoder(rearrange(pixels, "b h w rgb -> b rgb h w"))[::-1]
        seen = torch.arange(len(frame), device=frame.device) if features else None
        picture = self.decoder(change.placed.float(), change.pooled[:, 0].float(), features, seen)
        return rearrange(picture.clamp(0, 1), "b rgb h w -> b h w rgb")


def check_encoder(name: str | None, source: Path) -> None:
    """Raises BadInput for a name that timm does not know."""
    import timm

    if name is not None and name not in timm.list_models():
        raise BadInput(f"{source}: image_encoder {name:.100}: timm has no model of this name")


def save_decoder(
    out: Path, decoder: PictureDecoder, image_encoder: nn.Module | None, encoder_name: str | None, streams: TwoStreamEncoder, streams_sha256: str
) -> Path:
    """Writes `out/decoder` in fp16 and returns the folder."""
    folder, kept = out / "decoder", nn.ModuleDict({"decoder": decoder} | ({"image_encoder": image_encoder} if image_encoder is not None else {}))
    data, _ = serialise(kept)
    with atomic(folder / MODEL) as path:
        path.write_bytes(data)
    sizes = {"size": streams.size, "dim": streams.dim, "grid": list(streams.grid), "patch": streams.size // streams.grid[0], "image_encoder": encoder_name}
    record = {"format": 1, "kind": DECODER.kind, "sha256": hashlib.sha256(data).hexdigest(), "streams_sha256": streams_sha256}
    write_json(folder / CONFIG, record | sizes)
    return folder
