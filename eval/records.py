"""What stands in a result folder, field by field."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from whatwhere.schema import Finite, Index, Name, Sha256, Text, Versions

Distance = Annotated[float, Meta(ge=0, le=1e9)]  # cm
Speed = Annotated[list[Finite], Meta(min_length=2, max_length=2)]  # cm/s, from … to
Inside = Annotated[str, Meta(min_length=1, max_length=1000)]  # a path below the folder: whatwhere.files.inside


class Episode(TypedDict):
    """A row of `episodes.jsonl`. Subscribers of the rollout add more, which is kept."""

    task: Name
    version: Name | None
    seed: Index
    episode: Index
    init_hash: Name | None
    success: bool
    position_error_cm: Distance | None
    policy: NotRequired[Name | None]
    encoder: NotRequired[Name | None]
    head: NotRequired[Name | None]
    language: NotRequired[Name | None]
    join: NotRequired[Name | None]
    checkpoint: NotRequired[Text | None]
    train_seed: NotRequired[Index | None]
    num_demos: NotRequired[Index | None]
    multiplied_from: NotRequired[Index | None]
    corrections: NotRequired[Index | None]
    streams: NotRequired[Name | None]
    perturbation: NotRequired[Name | None]
    split: NotRequired[Name | None]
    instruction: NotRequired[Text | None]
    latency: NotRequired[Index | None]
    action_latency: NotRequired[Index | None]
    trained_for: NotRequired[Text | None]
    history: NotRequired[Text | None]
    fusion: NotRequired[Text | None]
    memory: NotRequired[Index | None]
    streams_used: NotRequired[Name | None]
    without: NotRequired[Name | None]
    said: NotRequired[Name | None]
    motion: NotRequired[Name | None]
    speed: NotRequired[Speed | None]
    trained_motion: NotRequired[Text | None]
    actions_from: NotRequired[Text | None]
    goal: NotRequired[Text | None]
    fault: NotRequired[Text | None]
    fallback: NotRequired[Name | None]
    fallback_step: NotRequired[Index | None]
    fallback_why: NotRequired[Text | None]
    fallback_did: NotRequired[Name | None]
    fallback_end: NotRequired[bool | None]
    shares: NotRequired[dict[str, Finite] | None]
    inference: NotRequired[Name | None]
    queries: NotRequired[Name | None]
    device: NotRequired[Name | None]
    failure: NotRequired[Text | None]
    is_relation_correct: NotRequired[bool | None]
    steps: NotRequired[Index | None]
    wall_s: NotRequired[Finite | None]
    video: NotRequired[Inside | None]
    trajectory: NotRequired[Inside | None]
    freezes: NotRequired[Index | None]
    target_xy_m: NotRequired[tuple[Finite, Finite] | None]


class About(TypedDict, total=False):
    """`results.json`: what is read of it beside the score, which is counted afresh from the rows; and `settings.json`, of which `episodes` is read."""

    task: Name | None
    policy: Name | None
    encoder: Name | None
    head: Name | None
    language: Name | None
    join: Name | None
    checkpoint: Text | None
    sha256: Sha256 | None
    train_seed: Index | None
    num_demos: Index | None
    multiplied_from: Index | None
    corrections: Index | None
    streams: Name | None
    perturbation: Name | None
    split: Name | None
    latency: Index | None
    action_latency: Index | None
    trained_for: Text | None
    history: Text | None
    fusion: Text | None
    memory: Index | None
    streams_used: Name | None
    without: Name | None
    said: Name | None
    motion: Name | None
    speed: Speed | None
    trained_motion: Text | None
    actions_from: Text | None
    goal: Text | None
    fault: Text | None
    fallback: Name | None
    fallbacks: dict[str, Index] | None
    execute: Index | None
    inference: Name | None
    queries: Name | None
    seed: Index | None
    episodes: Index
    versions: Versions | None
    command: Annotated[str, Meta(max_length=100_000)] | None
