"""A probe small enough to be asked again and again while streams are trained."""

from __future__ import annotations

from pathlib import Path

import torch

from policy.fusion.pixelwise import PixelwiseFusion
from policy.probing.collapse import collapse
from policy.probing.scenes import Scenes, index_of, read_scenes
from policy.probing.tokens import Features, token_features
from policy.probing.velocity import Drifts, read_drifts, velocity_probe
from policy.probing.xy import xy_probe
from policy.streams import TwoStreamEncoder

FIT, HELD_OUT = 800, 200


class QuickProbe:
    """`probe(streams, fusion)` → figures to print, and what has collapsed (nothing, if all is well), a line each.

    Figures: median xy error in cm of P, M and fused patches and of fused keypoints, and effective ranks. Of scenes that were drawn with moving=true: of the
    velocity of what drifts, R², the share within 20 degrees and that of scenes in which it is the one that is told to be fastest. `scenes`: a task's folder
    of `python -m envs.demos.scenes`, read once. Raises BadInput.
    """

    def __init__(self, scenes: str | Path, fit: int = FIT, held_out: int = HELD_OUT, keypoints: bool = True) -> None:
        self.moves = bool(index_of(Path(scenes)).get("moving"))
        self.data: Scenes | Drifts = read_drifts(scenes, fit, held_out) if self.moves else read_scenes(scenes, fit, held_out)
        self.keypoints = keypoints

    def __call__(self, streams: TwoStreamEncoder, fusion: PixelwiseFusion | None = None) -> tuple[dict[str, float], list[str]]:
        device = next(streams.parameters()).device
        features = token_features(streams, fusion, self.data.frames, device=device, change="past" if self.moves else "future")
        wrong = [collapse(torch.from_numpy(features[name]["patches"][0][:64]), name) for name in features if len(features[name]["patches"]) == 1]
        return self._figures(features), [line for line in wrong if line is not None]

    def _figures(self, features: Features) -> dict[str, float]:
        if isinstance(self.data, Drifts):
            told = {record["streams"]: record for record in velocity_probe(features, self.data)}
            names = ("r2", "within_20_deg", "named")
            return {f"velocity_{name}_{stream}": one[name] for stream, one in told.items() for name in names if one[name] is not None}
        figures = {}
        for record in xy_probe(features, self.data, ways=("patches",)):
            figures[f"xy_{record['streams']}_cm"] = record["median_cm"]
            figures[f"rank_{record['streams']}"] = record["effective_rank"]
        if self.keypoints:
            figures["xy_keypoints_cm"] = xy_probe(features, self.data, ("fused",), ("keypoints",))[0]["median_cm"]
        return figures
