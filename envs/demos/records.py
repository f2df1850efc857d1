"""What stands in the JSON of demonstrations, field by field, with the most that each may ask for. (Numbers in HDF5 arrays: envs.demos.layout.)"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from envs.demos.layout import MAX_CAMERAS, MAX_STEPS
from whatwhere.errors import BadInput, shown
from whatwhere.schema import Finite, Hz, Index, Name, Pixels, Sha256, Text, Versions, checked
from whatwhere.strict_json import parse

Camera = Annotated[str, Meta(pattern=r"^\w{1,100}\Z", description="a name of letters, digits and _")]
Mask = Annotated[str, Meta(pattern=r"^(?!\.+\Z)[^/\x00]{1,100}\Z", description="a name without /")]
Steps = Annotated[int, Meta(ge=1, le=MAX_STEPS)]
Numbers = Annotated[list[Finite], Meta(max_length=4096)]
Goal = Annotated[list[Finite], Meta(min_length=8, max_length=8)]  # seven joints and the gripper
Parts = dict[str, Any]  # settings of somebody else's environment, kept as they are


class Original(TypedDict):
    """A demonstration that another one was made of."""

    file: Name
    sha256: Sha256
    seed: Index | None
    episode: Index | None
    init_hash: Name | None


class Segment(TypedDict):
    """A piece of motion: of which original (a number into `originals`), relative to what, from which step to which."""

    source: Index
    about: Name
    steps: Annotated[list[Index], Meta(max_length=2)]


class Multiplied(TypedDict):
    """What a demonstration says that `envs.demos.multiply` made of others; more is kept."""

    originals: Annotated[list[Original], Meta(min_length=1, max_length=10_000)]  # all that segments were chosen from
    segments: Annotated[list[Segment], Meta(max_length=10_000)]
    select: Name


class Corrected(TypedDict):
    """Of an episode that eval.correct made: the policy that acted, and the step from which on the expert did."""

    sha256: Name
    until: Index


class Settings(TypedDict):
    """What the attributes of a demonstration must hold, and what is read of them where it is there; more is kept as it is."""

    task: Name
    task_version: Name
    init_hash: Name | None
    seed: Index | None
    episode: Index | None
    rendering: Name
    size: Pixels
    cameras: Annotated[list[Camera], Meta(min_length=1, max_length=MAX_CAMERAS)]
    frame_gap: Annotated[int, Meta(ge=1, le=MAX_STEPS)]
    control_hz: Hz
    horizon: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None
    versions: Versions
    env_name: NotRequired[Name | None]
    env_kwargs: NotRequired[Parts | None]
    split: NotRequired[Name | None]  # envs.language.things.SPLITS, of tasks in version 1
    motion: NotRequired[Name | None]  # what moves by itself, and how fast: envs.motion
    speed: NotRequired[Annotated[list[Finite], Meta(min_length=2, max_length=2)] | None]  # cm/s
    source: NotRequired[Name | None]
    noise: NotRequired[Finite | None]
    proprio: NotRequired[list[Name] | None]
    masks: NotRequired[list[Mask] | None]
    control: NotRequired[Text | None]
    origin: NotRequired[Parts | None]  # envs.foreign.origin.Origin
    no_environment: NotRequired[Text]
    position_error_cm: NotRequired[Finite | None]
    multiplied: NotRequired[Multiplied]
    corrected: NotRequired[Corrected]
    arm_goals: NotRequired[list[Annotated[list[Finite], Meta(min_length=9, max_length=9)]] | None]  # step, then the goal


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Raises BadInput unless `settings` are what Settings says, and JSON can hold them."""
    try:
        text = json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: settings: JSON cannot hold them ({' '.join(str(error).split())[:120]})") from None
    check_cameras(checked(parse(text, str(path)), Settings, str(path)), str(path))


def check_cameras(settings: Mapping[str, Any], where: str) -> None:
    if len(set(settings["cameras"])) != len(settings["cameras"]):
        raise BadInput(f"{where}: cameras: needs different names, found {shown(settings['cameras'])}")


class Sealed(Settings):
    """`whatwhere`, the attribute of a demonstration that this package wrote."""

    success: bool
    instruction: Text


class EnvArgs(TypedDict, total=False):
    """`env_args` of a robomimic file."""

    env_name: Name
    env_version: Name | None
    env_kwargs: Parts | None


class EpisodeMeta(TypedDict, total=False):
    """`ep_meta` of a demonstration in a robomimic file."""

    lang: Text | None


class Start(TypedDict):
    """A row of `starts.jsonl`: a start that was tried."""

    episode: Index
    success: bool
    failure: NotRequired[Text | None]
    steps: NotRequired[Index | None]
    position_error_cm: NotRequired[Finite | None]
    init_hash: NotRequired[Name | None]
    segments: NotRequired[Annotated[list[Segment], Meta(max_length=10_000)]]


class JournalHeader(TypedDict):
    """The first line of a journal: which start is being recorded."""

    start: Index


class JournalRow(TypedDict):
    """A step of a journal."""

    action: Numbers
    state: Numbers
    proprio: Numbers
    arm_goal: NotRequired[Goal]


class Take(TypedDict):
    """A row of `takes.jsonl` of play."""

    take: Index
    task: Name
    motion: Name
    varied: bool
    cameras: list[Camera]
    first_clip: Index
    init_hash: Name
    things: NotRequired[Annotated[list[Name], Meta(max_length=100)]]  # in version 1 of a task, or varied: what the objects are
    looks: NotRequired[Annotated[list[Name], Meta(max_length=100)]]  # where they are varied
    instruction: NotRequired[Text]


class OwnRow(TypedDict):
    """A row of `meta/whatwhere.jsonl`, which a LeRobotDataset that this package wrote has beside its own."""

    episode_index: Index
    settings: Settings
    success: bool
    instruction: Text
    model: NotRequired[Sha256 | None]
    has_executed_actions: bool
    digests: dict[Name, Sha256]
    sha256: Sha256


class OwnClaim(TypedDict):
    """`meta/whatwhere.json`: what a LeRobotDataset was made of, and the hashes of its files."""

    content: Parts
    files: dict[Annotated[str, Meta(max_length=1000)], Sha256]
