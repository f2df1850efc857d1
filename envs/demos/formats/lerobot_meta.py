"""What stands in the `meta` folder of a LeRobotDataset v3.0: features, statistics, tables of episodes and tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.demos.episodes import Episode
from whatwhere.errors import BadInput

VERSION = "v3.0"
FILES_A_CHUNK, DATA_MB, VIDEO_MB = 1000, 100, 200  # LeRobot's own limits
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
IMAGES = "observation.images."
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
# Not `observation.…` or `action.…`: LeRobot's policies take such names for inputs and outputs, and the simulator's state must be neither.
STATES, EXECUTED = "simulator_state", "executed_action"


def pyarrow() -> Any:
    """(pyarrow, pyarrow.parquet). Raises BadInput if it is not installed: only this format needs it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput("lerobot: this format needs pyarrow; install it with: pip install 'whatwhere[lerobot]'") from None
    return pyarrow, pyarrow.parquet


def features_of(episode: Episode, pictures: str, crf: int) -> dict[str, dict[str, Any]]:
    """The `features` of info.json for episodes like this one; `pictures` is "image" or "video"."""
    assert episode.frames is not None
    _, _, height, width, _ = episode.frames.shape
    hz = int(episode.attrs["control_hz"])
    features: dict[str, dict[str, Any]] = {}
    for key, array in (("action", episode.actions), ("observation.state", episode.proprio), (EXECUTED, episode.actions), (STATES, episode.states)):
        features[key] = {"dtype": array.dtype.name, "shape": [array.shape[1]], "names": [f"{key.rpartition('.')[2]}_{i}" for i in range(array.shape[1])]}
    for camera in episode.attrs["cameras"]:
        feature: dict[str, Any] = {"dtype": pictures, "shape": [height, width, 3], "names": ["height", "width", "channels"]}
        if pictures == "video":
            colours = "yuv444p" if height % 2 or width % 2 else "yuv420p"
            stream = {"height": height, "width": width, "codec": "h264", "pix_fmt": colours, "is_depth_map": False, "fps": hz, "channels": 3, "crf": crf}
            feature["info"] = {**{f"video.{name}": value for name, value in stream.items()}, "has_audio": False}
        features[IMAGES + camera] = feature
    for key, dtype in (("next.reward", "float32"), ("next.done", "bool"), ("next.success", "bool"), ("timestamp", "float32")):
        features[key] = {"dtype": dtype, "shape": [1], "names": None}
    for key in ("frame_index", "episode_index", "index", "task_index"):
        features[key] = {"dtype": "int64", "shape": [1], "names": None}
    return features


def schema_of(features: dict[str, dict[str, Any]]) -> Any:
    """The Arrow schema of a data file."""
    pa, _ = pyarrow()
    fields = []
    for key, feature in features.items():
        if feature["dtype"] == "image":
            fields.append((key, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
        elif feature["dtype"] != "video":
            kind = {"bool": pa.bool_(), "float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64()}[feature["dtype"]]
            fields.append((key, kind if feature["shape"] == [1] else pa.list_(kind, feature["shape"][0])))
    return pa.schema(fields)


def statistics(array: np.ndarray, is_picture: bool = False) -> dict[str, np.ndarray]:
    """Of numbers (t,) or (t, n), a value each; of pictures (t, h, w, 3), by channel as (3, 1, 1), in [0, 1]."""
    if not is_picture:
        values = array.reshape(len(array), -1).astype(np.float64)
        quantiles = dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values()), axis=0), strict=True))
        found = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0), **quantiles}
        return {**found, "count": np.array([len(array)])}
    counts = np.stack([np.bincount(array[..., channel].ravel(), minlength=256) for channel in range(3)])  # exact, without a copy in float
    levels, share = np.arange(256) / 255, counts / counts[:1].sum()
    mean, seen = share @ levels, counts > 0
    spread = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0))
    below = share.cumsum(1)
    quantiles = {name: levels[(below >= q - 1e-12).argmax(1)] for name, q in QUANTILES.items()}
    found = {"min": levels[seen.argmax(1)], "max": levels[255 - seen[:, ::-1].argmax(1)], "mean": mean, "std": spread, **quantiles}
    return {**{name: value.reshape(3, 1, 1) for name, value in found.items()}, "count": np.array([len(array)])}


def joined(episodes: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Statistics of several episodes from those of each: exact but for the quantiles, of which, as in LeRobot, the weighted mean is taken."""
    counts = np.array([stats["count"][0] for stats in episodes], dtype=np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * episodes[0]["mean"].ndim)
    column = {name: np.stack([stats[name] for stats in episodes]) for name in episodes[0] if name != "count"}
    mean = (weights * column["mean"]).sum(0)
    variance = (weights * (column["std"] ** 2 + (column["mean"] - mean) ** 2)).sum(0)
    quantiles = {name: (weights * column[name]).sum(0) for name in QUANTILES}
    count = np.array([int(counts.sum())])
    return {"min": column["min"].min(0), "max": column["max"].max(0), "mean": mean, "std": np.sqrt(variance), **quantiles, "count": count}


def info_of(features: dict[str, Any], hz: int, num_episodes: int, num_frames: int, num_tasks: int, pictures: str) -> dict[str, Any]:
    """The content of info.json."""
    totals = {"total_episodes": num_episodes, "total_frames": num_frames, "total_tasks": num_tasks}
    limits = {"chunks_size": FILES_A_CHUNK, "data_files_size_in_mb": DATA_MB, "video_files_size_in_mb": VIDEO_MB}
    paths = {"data_path": DATA_PATH, "video_path": VIDEO_PATH if pictures == "video" else None}
    return {
        "codebase_version": VERSION,
        "robot_type": None,
        **totals,
        **limits,
        "fps": hz,
        "splits": {"train": f"0:{num_episodes}"},
        **paths,
        "features": features,
    }


def tasks_table(tasks: Sequence[str]) -> Any:
    """The content of tasks.parquet: a pandas frame whose index is the task's text, which LeRobot looks tasks up by."""
    pa, _ = pyarrow()
    index = "__index_level_0__"
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
        {"name": None, "field_name": index, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    pandas = {"index_columns": [index], "column_indexes": [], "columns": columns, "creator": {"library": "pyarrow", "version": pa.__version__}}
    pandas["pandas_version"] = "2.2.0"
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(list(tasks), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
