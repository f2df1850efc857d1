"""What every objective of pre-training is, to the loop."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.crops import MultiCrop
from policy.streams import TwoStreamEncoder

if TYPE_CHECKING:
    from policy.pretrain.engine import Engine


class Objective(nn.Module):
    """Has `streams` and `fusion`, and `forward(*pictures, generator) -> (loss, figures, picture)`.

    `crops=None`: its pictures are `frames` of a clip, k apart, (b, 3, h, w) each in [0, 1]: frame t and frame t+k, if there are two. Else three frames of a
    clip in a large crop and in small ones, (b, 3 frames, 3, h, w) and (b, crops, 3 frames, 3, l, l). The picture is what it predicts of frame t+k, or None.
    `assess(*pictures, generator)`, where there is one, gives more figures and a picture of held-out samples.
    """

    streams: TwoStreamEncoder
    fusion: PixelwiseFusion
    crops: MultiCrop | None = None
    frames: int = 2
    teaches_cls: bool = False  # so much and for so long that a CLS that says little has collapsed

    @property
    def kept(self) -> tuple[TwoStreamEncoder, PixelwiseFusion]:
        """What is probed and, at the end, kept."""
        return self.streams, self.fusion

    def terms(self, *given: Any) -> dict[str, Tensor]:
        """The loss by its weighted parts, of what `forward` is given; each with its graph. One alone, unless an objective says more."""
        return {"loss": self(*given)[0]}

    def pair(self, *pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Frame t and a later one of its pictures, (b, 3, h, w)."""
        if self.crops is None:
            return pictures[0], pictures[1]
        return pictures[0][:, 0], pictures[0][:, 1]

    def groups(self) -> list[dict[str, Any]]:
        """What is trained, as the optimiser takes it."""
        return [{"params": list(self._trained())}]

    def freeze(self) -> None:
        """Streams and fusion stay as they are: the rest learns over them."""
        self.streams.requires_grad_(False)
        self.fusion.requires_grad_(False)

    def keep_beside(self, out: Path, streams_sha256: str) -> Path | None:
        """Writes to `out` what makes pictures of the kept streams' changes, if there is such a thing, and returns its folder."""
        return None

    def _trained(self) -> Iterable[nn.Parameter]:
        return (weights for weights in self.parameters() if weights.requires_grad)

    def begin(self, step: int, steps: int, optimizer: torch.optim.Optimizer) -> None:
        """Before a step: what follows a schedule."""

    def end(self, engine: Engine) -> None:
        """After the weights have changed."""

    def wrong(self) -> list[str]:
        """What has collapsed in the last step, a line each."""
        return []
