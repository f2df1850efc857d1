"""Writes a LeRobotDataset v3.0, an episode at a time: `data/…parquet`, `videos/…mp4` or PNG in the tables, `meta/…`.

`meta/whatwhere.jsonl` keeps for each episode what the format has no place for (settings, digests), so that our own come back bit by bit.
"""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from envs.demos.episodes import Episode, checked_arrays
from envs.demos.formats import Source, Writing, episodes
from envs.demos.formats import lerobot_meta as meta
from envs.demos.formats.video import new_video
from envs.demos.layout import digest_of
from envs.video import VideoFile
from whatwhere.errors import BadInput
from whatwhere.files import append_row, atomic, read_json, sha256, write_json

OWN_ROWS, OWN_CLAIM, MODELS = "meta/whatwhere.jsonl", "meta/whatwhere.json", "meta/models"
MB = 1 << 20


def write(out: Path, source: Source, writing: Writing, content: dict[str, Any]) -> None:
    """Writes the folder, whole or not at all. Raises BadInput if `out` holds anything else, or the episodes are too different for one dataset."""
    meta.pyarrow()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        known = read_json(out / OWN_CLAIM) if (out / OWN_CLAIM).is_file() else {}
        if not isinstance(known, dict) or known.get("content") != json.loads(json.dumps(content)):
            raise BadInput(f"out={out}: holds other files, or demonstrations written with other settings; choose another out=")
        return
    with atomic(out, folder=True) as folder, ExitStack() as open_files:
        dataset = _Dataset(folder, writing, open_files)
        for index, episode in enumerate(episodes(source)):
            dataset.add(episode, Path(source.name(index)))
        open_files.close()
        dataset.finish(content)


class _Dataset:
    """A dataset being written to `folder`."""

    def __init__(self, folder: Path, writing: Writing, open_files: ExitStack) -> None:
        self.folder, self.writing, self.open_files = folder, writing, open_files
        self.features: dict[str, Any] | None = None
        self.tasks: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.stats: list[dict[str, dict[str, np.ndarray]]] = []
        self.videos: dict[str, tuple[int, VideoFile]] = {}  # by feature: its file's number, and the file
        self.data_number, self.data, self.num_frames = -1, None, 0

    def add(self, episode: Episode, name: Path) -> None:
        arrays = checked_arrays(name, episode)
        if self.features is None:
            self._begin(episode, name)
        assert self.features is not None and episode.frames is not None
        if meta.features_of(episode, self.writing.pictures, self.writing.crf) != self.features or episode.attrs["control_hz"] != self.hz:
            raise BadInput(f"{name}: its cameras, shapes or rate are not those of the first demonstration: a LeRobotDataset has one of each")
        if episode.instruction not in self.tasks:
            self.tasks.append(episode.instruction)
        number, steps = len(self.rows), len(episode)
        columns = self._columns(episode, number)
        row: dict[str, Any] = {"episode_index": number, "tasks": [episode.instruction], "length": steps}
        row |= self._write_data(columns, episode) | {"dataset_from_index": self.num_frames, "dataset_to_index": self.num_frames + steps}
        stats = {key: meta.statistics(column) for key, column in columns.items()}
        for i, camera in enumerate(episode.attrs["cameras"]):
            key = meta.IMAGES + camera
            stats[key] = meta.statistics(episode.frames[:, i], is_picture=True)
            if self.writing.pictures == "video":
                row |= self._write_video(key, episode.frames[:, i])
        self.rows.append(row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        self.stats.append(stats)
        self.num_frames += steps
        self._keep_own(episode, number, {key: digest_of(array) for key, array in arrays.items()})

    def _begin(self, episode: Episode, name: Path) -> None:
        self.hz = episode.attrs["control_hz"]
        if self.hz != int(self.hz):
            raise BadInput(f"{name}: control_hz={self.hz}: LeRobot needs a whole number of frames a second")
        self.features = meta.features_of(episode, self.writing.pictures, self.writing.crf)
        self.schema = meta.schema_of(self.features)

    def _columns(self, episode: Episode, number: int) -> dict[str, np.ndarray]:
        """All but the pictures."""
        steps = len(episode)
        last = np.arange(steps) == steps - 1
        executed = episode.actions if episode.executed_actions is None else episode.executed_actions
        return {
            "action": episode.actions,
            "observation.state": episode.proprio,
            meta.EXECUTED: executed,
            meta.STATES: episode.states,
            "next.reward": (last & episode.success).astype(np.float32),
            "next.done": last,
            "next.success": last & episode.success,
            "timestamp": (np.arange(steps) / self.hz).astype(np.float32),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, number),
            "index": np.arange(self.num_frames, self.num_frames + steps),
            "task_index": np.full(steps, self.tasks.index(episode.instruction)),
        }

    def _write_data(self, columns: dict[str, np.ndarray], episode: Episode) -> dict[str, int]:
        """One row group an episode; a new file when the last has reached LeRobot's size."""
        pa, pq = meta.pyarrow()
        if self.data is None or self.data_path.stat().st_size > meta.DATA_MB * MB:
            if self.data is not None:
                self.data.close()
            self.data_number += 1
            self.data_path = self.folder / meta.DATA_PATH.format(**_place(self.data_number))
            self.data_path.parent.mkdir(parents=True, exist_ok=True)
            self.data = self.open_files.enter_context(pq.ParquetWriter(self.data_path, self.schema, write_page_checksum=True))
        values = {
            key: pa.array(list(column) if column.ndim > 1 and column.shape[1] > 1 else column.ravel(), self.schema.field(key).type)
            for key, column in columns.items()
        }
        if self.writing.pictures == "image":
            for i, camera in enumerate(episode.attrs["cameras"]):
                key = meta.IMAGES + camera
                values[key] = pa.array([{"bytes": _png(frame), "path": None} for frame in episode.frames[:, i]], self.schema.field(key).type)  # type: ignore[index]
        self.data.write_table(pa.table([values[key] for key in self.schema.names], schema=self.schema))
        return {f"data/{name}": value for name, value in _place(self.data_number).items()}

    def _write_video(self, key: str, frames: np.ndarray) -> dict[str, Any]:
        number, video = self.videos.get(key, (-1, None))
        if video is None or video.bytes > meta.VIDEO_MB * MB:
            if video is not None:
                video.finish()
            number += 1
            path = self.folder / meta.VIDEO_PATH.format(video_key=key, **_place(number))
            video = self.open_files.enter_context(new_video(path, frames.shape[1], frames.shape[2], int(self.hz), self.writing.crf))
            self.videos[key] = (number, video)
        times = {"from_timestamp": video.count / self.hz, "to_timestamp": (video.count + len(frames)) / self.hz}
        video.write(frames)
        return {f"videos/{key}/{name}": value for name, value in {**_place(number), **times}.items()}

    def _keep_own(self, episode: Episode, number: int, digests: dict[str, str]) -> None:
        settings = {key: value for key, value in episode.attrs.items() if key != "model_file"}
        model = str(episode.attrs["model_file"]).encode() if "model_file" in episode.attrs else None
        digest = None if model is None else hashlib.sha256(model).hexdigest()
        if model is not None and not (path := self.folder / MODELS / f"{digest}.xml").exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model)
        row = {"episode_index": number, "settings": settings, "success": episode.success, "instruction": episode.instruction}
        row |= {"model": digest, "has_executed_actions": episode.executed_actions is not None, "digests": digests}
        append_row(self.folder / OWN_ROWS, row | {"sha256": row_digest(row)})

    def finish(self, content: dict[str, Any]) -> None:
        """Tables, statistics and info.json: what names all the rest comes last."""
        pa, pq = meta.pyarrow()
        flat = [
            row | {f"stats/{key}/{name}": value.tolist() for key, s in stats.items() for name, value in s.items()}
            for row, stats in zip(self.rows, self.stats, strict=True)
        ]
        path = self.folder / meta.EPISODES_PATH.format(**_place(0))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(flat), path)
        pq.write_table(meta.tasks_table(self.tasks), self.folder / "meta/tasks.parquet")
        whole = {key: meta.joined([stats[key] for stats in self.stats]) for key in self.stats[0]}
        write_json(self.folder / "meta/stats.json", {key: {name: value.tolist() for name, value in stats.items()} for key, stats in whole.items()})
        assert self.features is not None
        info = meta.info_of(self.features, int(self.hz), len(self.rows), self.num_frames, len(self.tasks), self.writing.pictures)
        write_json(self.folder / "meta/info.json", info)
        files = {str(path.relative_to(self.folder)): sha256(path) for path in sorted(self.folder.rglob("*")) if path.is_file()}
        write_json(self.folder / OWN_CLAIM, {"content": content, "files": files})


def row_digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def _place(number: int) -> dict[str, int]:
    return {"chunk_index": number // meta.FILES_A_CHUNK, "file_index": number % meta.FILES_A_CHUNK}


def _png(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG", compress_level=3)  # measured: twice as fast as the default
    return file.getvalue()
