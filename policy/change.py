"""`change = encoder(frame_t, frame_tk)`: what happened between two frames and where, whatever caused it (spec A8, phase 2)."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from policy.channels import pair_channels
from policy.fusion.pixelwise import PixelwiseFusion
from policy.shapes import Tokens
from policy.storage.checkpoint import load_fusion, load_streams
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput


class ChangeEncoder(nn.Module):
    """Pre-trained streams and their fusion, frozen: two frames → the change embedding and the pixel-wise embedding.

    `change.pooled[:, 0]` (b, d) is the change embedding (CLS); `change.placed` (b, n, d) are the fused patches at `change.positions`. P is taken
    from the earlier frame (`change=future`), so the later one is seen as change alone. A robot, gravity and a person pushing are all just change.
    """

    def __init__(self, streams: TwoStreamEncoder, fusion: PixelwiseFusion) -> None:
        super().__init__()
        self.streams, self.fusion = streams.requires_grad_(False), fusion.requires_grad_(False)
        self.size, self.dim, self.grid = streams.size, streams.dim, streams.grid
        self.eval()

    @staticmethod
    def from_pretrained(folder: str | Path, device: str | torch.device = "cpu") -> ChangeEncoder:
        """From `OUT/streams/<digits>` of `python -m policy.pretrain`. Raises BadInput where no fusion was kept beside the streams."""
        streams, _ = load_streams(folder)
        fusion = load_fusion(folder, streams.grid)
        if fusion is None:
            raise BadInput(f"streams={folder}: no fusion beside the streams; needs those that python -m policy.pretrain writes")
        return ChangeEncoder(streams, fusion).to(device)

    @torch.no_grad()
    def forward(self, frame_t: Shaped[Tensor, "b h w 3"], frame_tk: Shaped[Tensor, "b h w 3"]) -> Tokens:
        """Frames uint8 or float in [0, 1], square, of `size` pixels. Raises BadInput for other sizes."""
        if frame_t.shape[1:3] != (self.size, self.size) or frame_tk.shape != frame_t.shape:
            raise BadInput(f"frames of {tuple(frame_t.shape[1:3])} and {tuple(frame_tk.shape[1:3])} pixels: these streams need {self.size} × {self.size}")
        channels = pair_channels(torch.stack([frame_t, frame_tk], dim=1), "future")
        return self.fusion(self.streams(channels.m, channels.p))
