"""Settings of the objectives, one dataclass each; `name` says which. Their defaults and comments are in policy/conf/objective/. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from whatwhere.kinds import InputPath, Range, Share, Text
from whatwhere.options import options

Weight = Annotated[float, Range(0, 1000)]
TimmModel = Annotated[str, Text("a timm model", 100)]


@options
class VideoPrediction:
    name: Literal["video_prediction"]
    hidden: Share
    unknown: Share
    blind: Share
    words: Weight
    perceptual: Weight
    image_encoder: TimmModel
    image_weights: InputPath | None
    perceptual_network: TimmModel | None
    perceptual_weights: InputPath | None


ObjectiveSettings = VideoPrediction  # with a second objective: VideoPrediction | Other
