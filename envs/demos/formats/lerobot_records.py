"""What stands in the `meta` folder of a LeRobotDataset v3.0, field by field, with the most that each may ask for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from envs.demos.formats.lerobot_meta import DATA_PATH, VIDEO_PATH
from envs.demos.layout import MAX_STEPS
from whatwhere.schema import Hz, Index, Name, Text

OLDER = "LeRobot converts older ones: lerobot.datasets.v30.convert_dataset_v21_to_v30"
Number = Annotated[int, Meta(ge=0, le=1_000_000)]  # of a chunk or a file
Seconds = Annotated[float, Meta(ge=0, le=10_000_000)]


class Feature(TypedDict):
    dtype: Name
    shape: Annotated[list[Annotated[int, Meta(ge=1, le=4096)]], Meta(min_length=1, max_length=4)]
    names: NotRequired[Any]


class Info(TypedDict):
    """`meta/info.json`."""

    codebase_version: Annotated[str, Meta(pattern=r"^v3\.\d+\Z", description=f"v3.0 ({OLDER})")]
    fps: Hz
    features: Annotated[dict[Name, Feature], Meta(min_length=1, max_length=10_000)]
    data_path: Literal[DATA_PATH]  # type: ignore[valid-type]
    video_path: NotRequired[Literal[VIDEO_PATH] | None]  # type: ignore[valid-type]
    robot_type: NotRequired[Name | None]
    total_episodes: NotRequired[Index]
    total_frames: NotRequired[Index]


EpisodeRow = TypedDict(
    "EpisodeRow",  # of `meta/episodes`
    {
        "episode_index": Index,
        "length": Annotated[int, Meta(ge=1, le=MAX_STEPS)],
        "tasks": Annotated[list[Text], Meta(max_length=1000)],
        "data/chunk_index": Number,
        "data/file_index": Number,
        "dataset_from_index": Index,
        "dataset_to_index": Index,
    },
)


class VideoPlace(TypedDict):
    """Where the frames of an episode lie."""

    chunk_index: Number
    file_index: Number
    from_timestamp: Seconds
