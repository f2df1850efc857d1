"""Video prediction and DINO on the same streams, their losses added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.dino import Dino
from policy.pretrain.engine import Engine
from policy.pretrain.objective import Objective
from policy.pretrain.video_prediction import VideoPrediction
from policy.streams import TwoStreamEncoder


class Both(Objective):
    """`video_prediction`, `dino`: their settings. Frame t+k is predicted in DINO's large crop, from the first of its two pairs. Raises BadInput."""

    def __init__(self, streams: TwoStreamEncoder, video_prediction: Mapping[str, Any], dino: Mapping[str, Any], dino_weight: float = 0.2) -> None:
        super().__init__()
        video, apart = ({key: value for key, value in given.items() if key != "name"} for given in (video_prediction, dino))
        self.dino, self.video_prediction, self.dino_weight = Dino(streams, **apart), VideoPrediction(streams, **video), dino_weight
        self.video_prediction.fusion = self.dino.fusion
        self.crops = self.dino.crops

    @property
    def streams(self) -> TwoStreamEncoder:  # type: ignore[override]
        return self.dino.streams

    @property
    def fusion(self) -> PixelwiseFusion:  # type: ignore[override]
        return self.dino.fusion

    @property
    def kept(self) -> tuple[TwoStreamEncoder, PixelwiseFusion]:
        return self.dino.kept

    def groups(self) -> list[dict[str, Any]]:
        theirs = self.dino.groups()
        known = {id(weights) for group in theirs for weights in group["params"]}
        return [*theirs, {"params": [weights for weights in self._trained() if id(weights) not in known]}]

    def keep_beside(self, out: Path, streams_sha256: str) -> Path:
        return self.video_prediction.keep_beside(out, streams_sha256)

    def begin(self, step: int, steps: int, optimizer: torch.optim.Optimizer) -> None:
        self.dino.begin(step, steps, optimizer)
        self.teaches_cls = self.dino.teaches_cls

    def end(self, engine: Engine) -> None:
        self.dino.end(engine)

    def wrong(self) -> list[str]:
        return self.dino.wrong()

    def forward(
        self, whole: Float[Tensor, "b t 3 h w"], local: Float[Tensor, "b c t 3 l l"], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, float], Float[Tensor, "b 3 h w"]]:
        """Loss, figures of both, and the prediction."""
        predicted, figures, picture = self.video_prediction(*self.pair(whole, local), generator)
        distilled, others, _ = self.dino(whole, local, generator)
        loss = predicted + self.dino_weight * distilled
        return loss, figures | others | {"loss": loss.item(), "loss_video": figures["loss"], "loss_dino": others["loss"]}, picture

    def terms(self, whole: Tensor, local: Tensor, generator: torch.Generator) -> dict[str, Tensor]:  # type: ignore[override]
        weighted = {name: self.dino_weight * term for name, term in self.dino.terms(whole, local, generator).items()}
        return self.video_prediction.terms(*self.pair(whole, local), generator) | weighted

    @torch.no_grad()
    def assess(
        self, whole: Float[Tensor, "b t 3 h w"], local: Float[Tensor, "b c t 3 l l"], generator: torch.Generator
    ) -> tuple[dict[str, float], Float[Tensor, "b 3 h w"]]:
        figures, picture = self.video_prediction.assess(*self.pair(whole, local), generator)
        return figures | self.dino.assess(whole, local, generator)[0], picture
