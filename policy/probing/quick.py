"""A probe small enough to be asked again and again while streams are trained."""

from __future__ import annotations

from pathlib import Path

import torch

from policy.fusion.pixelwise import PixelwiseFusion
from policy.probing.collapse import collapse
from policy.probing.scenes import read_scenes
from policy.probing.tokens import token_features
from policy.probing.xy import xy_probe
from policy.streams import TwoStreamEncoder

FIT, HELD_OUT = 800, 200


class QuickProbe:
    """`probe(streams, fusion)` → figures to print, and what has collapsed (nothing, if all is well), a line each.

    Figures: median xy error in cm of P, M and fused patches and of fused keypoints, and effective ranks. `scenes`: a task's folder of
    `python -m envs.demos.scenes`, read once. Raises BadInput.
    """

    def __init__(self, scenes: str | Path, fit: int = FIT, held_out: int = HELD_OUT, keypoints: bool = True) -> None:
        self.scenes, self.keypoints = read_scenes(scenes, fit, held_out), keypoints

    def __call__(self, streams: TwoStreamEncoder, fusion: PixelwiseFusion | None = None) -> tuple[dict[str, float], list[str]]:
        device = next(streams.parameters()).device
        features = token_features(streams, fusion, self.scenes.frames, device=device)
        figures = {}
        for record in xy_probe(features, self.scenes, ways=("patches",)):
            figures[f"xy_{record['streams']}_cm"] = record["median_cm"]
            figures[f"rank_{record['streams']}"] = record["effective_rank"]
        if self.keypoints:
            figures["xy_keypoints_cm"] = xy_probe(features, self.scenes, ("fused",), ("keypoints",))[0]["median_cm"]
        wrong = [collapse(torch.from_numpy(features[name]["patches"][0][:64]), name) for name in features if len(features[name]["patches"]) == 1]
        return figures, [line for line in wrong if line is not None]
