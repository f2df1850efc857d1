"""What stands in the JSON files of checkpoints and streams, field by field, with the most that each may ask for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from policy.fusion import CLS_FUSIONS, FUSIONS, SHARINGS
from whatwhere.schema import Count, Finite, Index, Name, Sha256, Shape, Share, Text, Versions

Format = Annotated[Literal[1], Meta(description="1, the format that this version reads")]  # policy.storage.FORMAT
Tensors = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=1000)], Shape], Meta(max_length=100_000)]
Numbers = Annotated[list[Finite], Meta(max_length=4096)]
FileName = Annotated[str, Meta(pattern=r"^\w[\w.-]*\Z", max_length=255, description="the name of a file in that folder")]
Start = tuple[Annotated[int, Meta(ge=0, le=2**62)], Index]  # seed, episode
Width = Annotated[int, Meta(ge=1, le=4096)]
Side = Annotated[int, Meta(ge=1, le=1024)]
Grid = tuple[Annotated[int, Meta(ge=1, le=512)], Annotated[int, Meta(ge=1, le=512)]]


BYTES = {  # of a number of each type that safetensors knows and that has whole bytes
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1), **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4), **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}  # fmt: skip


class Tensor(TypedDict):
    """What the header of a safetensors file says of one tensor."""

    dtype: Literal[tuple(BYTES)]  # type: ignore[valid-type]
    shape: Shape
    data_offsets: tuple[Index, Index]


class Listed(TypedDict):
    """A file as a manifest or a configuration lists it."""

    bytes: NotRequired[Index]
    sha256: Sha256


class Scaling(TypedDict):
    shift: Numbers
    scale: Numbers


class Normalisation(TypedDict):
    proprio: Scaling
    actions: Scaling


class Training(TypedDict, total=False):
    """How a policy was trained: what evaluation asks of it; more is kept."""

    task_version: Name | None
    split: Name  # of version 1 of a task: envs.language.things.SPLITS
    tasks: dict[Name, Name | None]  # of a policy of several: their versions
    instruction: Text
    instructions: list[Text]  # where they differ
    rendering: Name
    num_demos: Index | None
    multiplied_from: Index | None  # how many demonstrations those were made of (envs.demos.multiply); None: they were recorded
    corrections: Index | None  # how many of them were made by eval.correct
    train_seed: Index | None
    streams: Name | None
    unfreeze: bool
    start_hashes: list[Name]
    demo_starts: list[Start]
    motion: Name | None  # what moved by itself (envs.motion)
    speed: Annotated[list[Finite], Meta(min_length=2, max_length=2)] | None  # cm/s
    actions_from: Text  # of a policy with a planner (policy.training.planning)
    demonstrations: Index  # of an inverse model: how many episodes it learnt from
    played: Index  # how many of these were play
    inverse_sha256: Sha256
    origin: dict[Name, Any]  # envs.foreign.origin.Origin: what the environment takes over of others' demonstrations
    no_environment: Text  # why there is none in which it can be scored


class Rate(TypedDict):
    rate: Share
    ci95: tuple[Share, Share]


class Errors(TypedDict):
    """Of positions, in cm."""

    median: Finite | None
    p90: NotRequired[Finite | None]
    ci95: NotRequired[tuple[Finite, Finite] | None]
    within_cm: NotRequired[dict[Name, Share | None]]


class Score(TypedDict):
    """What a checkpoint keeps of `results.json`, the score that `python -m eval.run` writes."""

    sha256: Sha256 | None
    seed: Index | None
    episodes: Index
    success: Rate
    position_error_cm: Errors
    relation_rate: Share | None
    versions: NotRequired[Versions | None]
    perturbation: NotRequired[Name | None]
    without: NotRequired[Name | None]
    trained_for: NotRequired[Text | None]


class Config(TypedDict):
    """`config.json` of a checkpoint."""

    format: Format
    task: Name
    policy: dict[Name, Any]  # policy.config.PolicyConfig
    normalisation: Normalisation
    training: NotRequired[Training | None]
    score: NotRequired[dict[Name, Any] | None]
    versions: NotRequired[Versions]
    streams_sha256: NotRequired[Sha256 | None]
    files: dict[FileName, Listed]
    tensors: Tensors


class Decoder(TypedDict):
    """`config.json` of the decoder that video prediction leaves (policy.pretrain.kept_decoder)."""

    format: Literal[1]
    kind: Literal["picture_decoder"]
    sha256: str  # of the weights
    streams_sha256: str  # of the streams whose changes it decodes
    size: Annotated[int, Meta(ge=8, le=4096)]
    dim: Annotated[int, Meta(ge=1, le=8192)]
    grid: tuple[Side, Side]
    patch: Side
    image_encoder: str | None


class Chosen(TypedDict, total=False):
    """Settings of a pre-training; more is kept."""

    objective: dict[Name, Any]


class Pretraining(TypedDict, total=False):
    """How streams were pre-trained: what their card says of it; more is kept."""

    settings: Chosen
    figures: dict[Name, Finite]
    seconds: Finite


class Streams(TypedDict):
    """`config.json` of pre-trained streams."""

    format: NotRequired[Format]
    sha256: Sha256
    size: Width
    frame_gap: NotRequired[Count]
    streams: dict[Name, Any]  # policy.config.StreamsConfig
    tensors: Tensors
    training: NotRequired[Pretraining]
    versions: NotRequired[Versions]


class Fusion(TypedDict):
    """`fusion.json`: what was trained with the streams."""

    format: NotRequired[Format]
    sha256: Sha256
    dim: Width
    fusion: Literal[tuple(FUSIONS)]  # type: ignore[valid-type]
    cls_fusion: Literal[tuple(CLS_FUSIONS)]  # type: ignore[valid-type]
    sharing: Literal[SHARINGS]  # type: ignore[valid-type]
    tensors: Tensors


class Head(TypedDict):
    """`head.json`: a head from change to actions."""

    sha256: Sha256
    dim: Width
    grid: Grid
    chunk: Annotated[int, Meta(ge=1, le=1000)]
    action_dim: Annotated[int, Meta(ge=1, le=1000)]
    proprio_dim: Annotated[int, Meta(ge=0, le=4096)]
    task_dim: Annotated[int, Meta(ge=0, le=4096)]
    tensors: Tensors


class Entry(TypedDict):
    """A checkpoint in a manifest."""

    task: NotRequired[Name]
    encoder: NotRequired[Name]
    files: dict[FileName, Listed]
    streams_sha256: NotRequired[Sha256 | None]


class StreamsEntry(TypedDict):
    folder: Text
    files: NotRequired[dict[FileName, Listed]]


class Manifest(TypedDict):
    """`manifest.json`. The names of folders are relative to its own; those that lead outside are not followed (policy.storage.stored)."""

    format: Format
    defaults: dict[Name, dict[Name, Name]]
    checkpoints: dict[Name, Entry]
    default_streams: NotRequired[Sha256 | None]
    streams: dict[Sha256, StreamsEntry]
