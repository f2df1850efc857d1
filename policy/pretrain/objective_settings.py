"""Settings of the objectives, one dataclass each; `name` says which. Their defaults and comments are in policy/conf/objective/. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any, Literal

from policy.diffusion.needs import need_diffusers
from policy.fusion import CLS_FUSIONS
from policy.options import WeightDecay
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OneOf, Range, Share, Text
from whatwhere.options import options

Weight = Annotated[float, Range(0, 1000)]
ClsFusion = Annotated[str, OneOf(tuple(CLS_FUSIONS))]
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
    cls_fusion: ClsFusion = "linear"


@options
class Forecast(VideoPrediction):
    name: Literal["forecast"]


Temperature = Annotated[float, Range(0.001, 10)]


@options
class Dino:
    name: Literal["dino"]
    prototypes: Annotated[int, Range(2, 1_000_000)]
    width: Annotated[int, Range(1, 100_000)]
    bottleneck: Annotated[int, Range(1, 100_000)]
    cls_fusion: ClsFusion
    local: Annotated[int, Range(0, 32)]
    local_size: Annotated[int, Range(2, 1024)] | None
    local_scale: Annotated[tuple[Annotated[float, Range(0, 1, above=True)], ...], Length(2, 2)]
    centring: Annotated[str, OneOf(("mean", "sinkhorn"))]
    centre_momentum: Share
    student_temperature: Temperature
    teacher_temperature: Annotated[tuple[Temperature, ...], Length(2, 2)]
    temperature_warmup: Share
    momentum: Share
    weight_decay_end: WeightDecay
    freeze: Share
    patches: Weight
    masked: Share
    mask: Annotated[tuple[Annotated[float, Range(0, 1, above=True)], ...], Length(2, 2)]
    keep: Annotated[str, OneOf(("teacher", "student"))]

    def __post_init__(self) -> None:
        for name, (low, high) in (("local_scale", self.local_scale), ("mask", self.mask)):
            if low > high:
                raise BadInput(f"{name}=[{low},{high}]: needs two shares, from … to, such as [0.1,0.5]")
        if find_spec("lightly") is None:
            raise BadInput("name=dino: needs lightly, not installed here; run: pip install 'whatwhere[dino]'")


@options
class Both:
    name: Literal["both"]
    video_prediction: VideoPrediction
    dino: Dino
    dino_weight: Weight

    def __post_init__(self) -> None:
        if self.video_prediction.cls_fusion != "linear":
            raise BadInput(f"video_prediction.cls_fusion={self.video_prediction.cls_fusion}: both read one fusion; give objective.dino.cls_fusion")


@options
class Jepa:
    name: Literal["jepa"]
    sigreg: Weight
    slices: Annotated[int, Range(1, 100_000)]
    hidden: Share
    blocks: Annotated[int, Range(1, 64)]
    cls_fusion: ClsFusion


Width = Annotated[int, Range(8, 4096)]


@options
class LatentDiffusion:
    name: Literal["latent_diffusion"]
    vae: InputPath | None
    fused_patches: bool
    hidden_patches: Share
    without_change: Share
    widths: Annotated[tuple[Width, ...], Length(1, 6)]
    ema: Annotated[float, Range(0, 1, below=True)]

    def __post_init__(self) -> None:
        need_diffusers("name=latent_diffusion")
        if any(width % 8 for width in self.widths):
            raise BadInput(f"widths={list(self.widths)}: must be multiples of 8")
        from policy.diffusion.vae_folder import find_vae  # not for the other objectives

        find_vae(self.vae, "vae")


ObjectiveSettings = VideoPrediction | Forecast | Dino | Both | Jepa | LatentDiffusion


def as_recorded(objective: dict[str, Any]) -> dict[str, Any]:
    """The settings as files have them: without those that earlier versions had no choice of, so that runs of theirs go on."""
    kept = {key: as_recorded(value) if isinstance(value, dict) else value for key, value in objective.items()}
    unsaid = kept.get("name") == "video_prediction" and kept.get("cls_fusion") == "linear"
    return {key: value for key, value in kept.items() if not (unsaid and key == "cls_fusion")}
