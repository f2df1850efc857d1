"""The files of a LeRobotDataset v3.0 being read: info, table of episodes, columns, pictures. Nothing outside the folder is opened."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from envs.demos.formats import lerobot_meta as meta
from envs.demos.formats.lerobot_table import MAX_EPISODES, Rows, table_rows
from envs.demos.formats.video import VideoFrames
from envs.demos.layout import check_claim
from whatwhere.errors import BadInput
from whatwhere.files import inside, read_json, sha256
from whatwhere.look import look
from whatwhere.picture import DAMAGE, Unreadable, shown

VIDEO_DEFLATION = 10_000  # of a scene that stands still
PLACE = ("chunk_index", "file_index", "from_timestamp")  # columns of a video


class Files:
    """The dataset in a folder; a context manager. Raises BadInput for whatever is missing, damaged or elsewhere.

    info, features, hz: of info.json. table: a row an episode, in order of episode_index. digests: {file: sha256} where they are known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = self._info()
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.hz = self.info["fps"]
        self.table = self._episodes()
        self.digests: dict[str, str] = {}
        self._data: dict[str, Rows] = {}
        self._videos: dict[str, VideoFrames] = {}
        self._first: dict[str, int] = {}  # by data file: the index of its first row in the dataset
        for row in self.table:
            name = self._data_file(row)
            self._first[name] = min(self._first.get(name, row["dataset_from_index"]), row["dataset_from_index"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        for stream in (*self._videos.values(), *self._data.values()):
            stream.close()

    def __len__(self) -> int:
        return len(self.table)

    def name(self, index: int) -> str:
        return f"episode {self.table[index]['episode_index']}"

    def _info(self) -> dict[str, Any]:
        from envs.demos.formats.lerobot_records import Info  # where a file is read, not where a command starts

        path = self.inside("meta/info.json", "JSON file")
        return read_json(path, Info)

    def _episodes(self) -> list[dict[str, Any]]:
        """The rows of `meta/episodes`, in order of episode_index, without statistics."""
        from envs.demos.formats.lerobot_records import EpisodeRow
        from whatwhere.schema import checked

        where, rows = f"{self.path}/meta/episodes", []
        wanted = {*EpisodeRow.__annotations__, *(f"videos/{key}/{name}" for key in self.features for name in PLACE)}
        for path in sorted((self.path / "meta/episodes").glob("chunk-*/file-*.parquet")):
            rows += table_rows(self.inside(path.relative_to(self.path), "table"), wanted.__contains__)
            if len(rows) > MAX_EPISODES:
                raise BadInput(f"{where}: more than {MAX_EPISODES} episodes are not read")
        for row in rows:
            checked(row, EpisodeRow, f"{where}: episode {row.get('episode_index')!r:.40}")
            if row["dataset_to_index"] - row["dataset_from_index"] != row["length"]:
                raise BadInput(f"{where}: episode {row['episode_index']}: length: needs dataset_to_index - dataset_from_index, found {row['length']}")
        if not rows:
            raise BadInput(f"{self.path}/meta/episodes: holds no episodes")
        rows.sort(key=lambda row: row["episode_index"])
        self._check_whole(rows)
        return rows

    def _check_whole(self, rows: list[dict[str, Any]]) -> None:
        """Raises BadInput if an episode is there twice, steps belong to two, or there are not as many as info.json says."""
        for one, other in itertools.pairwise(rows):
            if one["episode_index"] == other["episode_index"]:
                raise BadInput(f"{self.path}/meta/episodes: episode {one['episode_index']}: there twice; episode_index must be another in every row")
        for one, other in itertools.pairwise(sorted(rows, key=lambda row: row["dataset_from_index"])):
            if other["dataset_from_index"] < one["dataset_to_index"]:
                raise BadInput(f"{self.path}/meta/episodes: episodes {one['episode_index']} and {other['episode_index']} have steps in common")
        for key, found in (("total_episodes", len(rows)), ("total_frames", sum(row["length"] for row in rows))):
            if self.info.get(key, found) != found:
                raise BadInput(f"{self.path}: meta/info.json: {key}={self.info[key]!r:.40}, but meta/episodes has {found}: a file is missing or too many")

    def inside(self, name: str | Path, kind: str) -> Path:
        """A file of the dataset, of one of the kinds of `whatwhere.look`. Raises BadInput if it is missing, no regular file or, by a link, elsewhere."""
        path = inside(self.path, name)
        look(path, kind)
        return path

    def _verified(self, name: str) -> Path:
        """A video whose bytes are those written, where that is known."""
        path = self.inside(name, "video")
        if self.digests and self.digests.get(name) != sha256(path):
            raise BadInput(f"{path}: sha256 does not match: the file is damaged or was edited")
        return path

    def _data_file(self, row: dict[str, Any]) -> str:
        return meta.DATA_PATH.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])

    def columns(self, index: int, keys: list[str]) -> dict[str, np.ndarray]:
        """Columns of numbers, each (t,) or (t, n)."""
        return {key: column for key, column in self._rows(index, [*keys, "episode_index"]).items() if key != "episode_index"}

    def _rows(self, index: int, keys: list[str]) -> dict[str, Any]:
        row = self.table[index]
        name = self._data_file(row)
        stream = f"{name} {' '.join(keys)}"  # one stream for each set of columns asked for
        if stream not in self._data:
            for other in [known for known in self._data if known.endswith(stream.partition(" ")[2]) and known != stream]:
                self._data.pop(other).close()  # the file before this one
            self._data[stream] = Rows(self.inside(name, "table"), keys)
        columns = self._data[stream].take(row["dataset_from_index"] - self._first[name], row["length"])
        if set(columns["episode_index"].tolist()) != {row["episode_index"]}:
            raise BadInput(f"{self.path / name}: rows of {self.name(index)} are not where meta/episodes says")
        return columns

    def pictures(self, index: int, key: str) -> np.ndarray:
        """(t, h, w, 3) uint8."""
        feature, row = self.features.get(key, {}), self.table[index]
        if len(feature.get("shape", ())) != 3 or feature["dtype"] not in ("image", "video"):
            raise BadInput(f"{self.path}: {key}: needs pictures, found {feature.get('dtype')} {feature.get('shape')}")
        height, width = feature["shape"][1:] if feature["shape"][0] == 3 else feature["shape"][:2]
        where, claimed = f"{self.path}: {self.name(index)}: {key}", row["length"] * height * width * 3
        if feature["dtype"] == "image":
            cells = self._rows(index, [key, "episode_index"])[key]
            check_claim(where, claimed, sum(len(cell["bytes"]) for cell in cells if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes)))
            return np.stack([self._picture(index, cell, height, width) for cell in cells])
        chunk, file, begins = self._place(index, key)
        name = meta.VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
        if key not in self._videos or self._videos[key].path != self.path / name:
            if key in self._videos:
                self._videos[key].close()
            self._videos[key] = VideoFrames(self._verified(name), height, width, self.hz)
        check_claim(where, claimed, (self.path / name).stat().st_size, VIDEO_DEFLATION)
        return self._videos[key].take(round(begins * self.hz), row["length"])

    def _place(self, index: int, key: str) -> tuple[int, int, float]:
        """Number of the chunk and of the file in it, and where in the video an episode begins (s)."""
        from envs.demos.formats.lerobot_records import VideoPlace
        from whatwhere.schema import checked

        place = {name: self.table[index].get(f"videos/{key}/{name}") for name in PLACE}
        place = checked(place, VideoPlace, f"{self.path}/meta/episodes: {self.name(index)}: videos/{key}")
        return place["chunk_index"], place["file_index"], place["from_timestamp"]

    def _picture(self, index: int, cell: Any, height: int, width: int) -> np.ndarray:
        where = f"{self.path}: {self.name(index)}"
        if not isinstance(cell, dict) or not isinstance(cell.get("bytes"), bytes):
            raise BadInput(f"{where}: a picture is not in the table itself; only those are read")
        file = io.BytesIO(cell["bytes"])
        try:
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                if sorted(image.size) != sorted((width, height)) or (picture := shown(image, file)).shape != (height, width, 3):
                    raise BadInput(f"{where}: a picture is {image.size[1]} × {image.size[0]}, meta/info.json says {height} × {width}")
                return picture
        except (Unreadable, *DAMAGE) as error:
            raise BadInput(f"{where}: a picture is damaged ({error})") from None
