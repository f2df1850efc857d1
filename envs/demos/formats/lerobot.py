"""LeRobotDataset v3.0. https://huggingface.co/docs/lerobot/lerobot-dataset-v3

Reads ours (with `meta/whatwhere.jsonl`) bit by bit where pictures are PNG, and those of others as far as they fit: an action in [-1, 1], a state,
colour pictures. Writing is in `lerobot_write`. Only files inside the folder are opened, under the names that v3.0 gives them.
"""

from __future__ import annotations

import math
import re
from os.path import lexists
from pathlib import Path
from typing import Any

import numpy as np

from envs.demos.episodes import Episode
from envs.demos.formats import Reading
from envs.demos.formats import lerobot_meta as meta
from envs.demos.formats import lerobot_said as said
from envs.demos.formats.foreign import UNKNOWN, foreign_settings, out_of_range, squared
from envs.demos.formats.lerobot_files import Files
from envs.demos.formats.lerobot_write import MODELS, OWN_CLAIM, OWN_ROWS, row_digest, write
from envs.demos.layout import check_scaled, digest_of, image_name
from whatwhere.counted import counted
from whatwhere.errors import BadInput, choose
from whatwhere.files import read_json, read_rows, sha256
from whatwhere.look import read

__all__ = ["Source", "recognises", "write"]


def recognises(path: Path) -> bool:
    return path.is_dir() and (path / "meta" / "info.json").exists()


class Source(Files):
    """See `envs.demos.formats.Source`."""

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path)
        self.reading = reading
        self.own = self._own()
        if self.own is not None:
            self.digests = self._claim()["files"]
        else:
            choose(f"{path}: features", "action", self.features)
            self.states, self.cameras = self._foreign_states(), self._foreign_cameras()

    def header(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        if self.own is not None:
            own = self.own[index]
            return {**self._own_settings(own), "success": own["success"], "instruction": own["instruction"], "steps": row["length"]}
        columns = self.columns(index, [key for key in said.OUTCOMES if key in self.features])
        return {**self._settings(), "success": said.success_of(self.name(index), columns), "instruction": self._instruction(row), "steps": row["length"]}

    def episode(self, index: int) -> Episode:
        return self._own_episode(index) if self.own is not None else self._foreign_episode(index)

    # ---- ours

    def _own_episode(self, index: int) -> Episode:
        """Every array verified by the digest that was taken when it was written; frames of a video, which has loss, by the file's."""
        own, row = self.own[index], self.table[index]  # type: ignore[index]
        settings = self._own_settings(own)
        columns = self.columns(index, ["action", "observation.state", meta.EXECUTED, meta.STATES])
        cameras = {image_name(camera): self.pictures(index, meta.IMAGES + camera) for camera in settings["cameras"]}
        arrays = {"actions": columns["action"], "states": columns[meta.STATES], "obs/proprio": columns["observation.state"], **cameras}
        if own["has_executed_actions"]:
            arrays["executed_actions"] = columns[meta.EXECUTED]
        for name, array in arrays.items():
            is_video = name in cameras and self.features[meta.IMAGES + name.removeprefix("obs/").removesuffix("_image")]["dtype"] == "video"
            if not is_video and digest_of(np.ascontiguousarray(array)) != own["digests"].get(name):
                found = f"damaged, or edited by another program (without {OWN_ROWS} it is read as another's)"
                raise BadInput(f"{self.path}: {self.name(index)}: {name}: sha256 does not match: {found}")
        executed, frames = arrays.get("executed_actions"), np.stack(list(cameras.values()), axis=1)
        if len(frames) != row["length"]:
            raise BadInput(f"{self.path}: {self.name(index)}: {counted(len(frames), 'step')}, its table says {row['length']}")
        return Episode(arrays["actions"], arrays["states"], arrays["obs/proprio"], frames, own["success"], own["instruction"], settings, executed)

    def _own_settings(self, own: dict[str, Any]) -> dict[str, Any]:
        settings = dict(own["settings"])
        if own.get("model") is not None:
            path = self.inside(f"{MODELS}/{own['model']}.xml", "text file")
            if sha256(path) != own.get("model"):
                raise BadInput(f"{path}: sha256 does not match: the file is damaged")
            settings["model_file"] = read(path, "text file").decode(errors="replace")
        return settings

    def _own(self) -> list[dict[str, Any]] | None:
        from envs.demos.records import OwnRow, check_cameras

        if not lexists(self.path / OWN_ROWS):
            return None
        rows = read_rows(self.inside(OWN_ROWS, "file of rows"), OwnRow)
        for row in rows:
            if row.pop("sha256") != row_digest(row):
                raise BadInput(f"{self.path}/{OWN_ROWS}: sha256 of a row does not match: the file was damaged or edited")
            check_cameras(row["settings"], f"{self.path}/{OWN_ROWS}")
        if [row["episode_index"] for row in rows] != [row["episode_index"] for row in self.table]:
            raise BadInput(
                f"{self.path}/{OWN_ROWS}: {counted(len(rows), 'episode')}, the dataset has {len(self.table)}; without that file it is read as another's"
            )
        return rows

    def _claim(self) -> dict[str, Any]:
        from envs.demos.records import OwnClaim

        return read_json(self.inside(OWN_CLAIM, "JSON file"), OwnClaim)

    # ---- others'

    def _foreign_episode(self, index: int) -> Episode:
        row, where = self.table[index], f"{self.path}: {self.name(index)}"
        columns = self.columns(index, ["action", *self.states, *said.told(self.features)])
        said.check_rates(where, self.info, columns.get("timestamp"), columns.get("frame_index"))
        size = {key: int(np.prod(self.features[key]["shape"])) for key in ("action", *self.states)}
        actions = said.finite(where, "action", columns["action"], size["action"])
        proprio = np.concatenate([said.finite(where, key, columns[key], size[key]) for key in self.states], axis=1)
        settings = self._settings()
        named = said.problem(self.info) if settings["task"] != UNKNOWN else None
        if problem := out_of_range(actions) or named:
            if not self.reading.as_is:
                raise BadInput(f"{where}: {problem}")
            settings["control_problem"] = problem
        before = row["length"] * sum(math.prod(self.features[key]["shape"]) for key in self.cameras.values())
        check_scaled(where, row["length"], len(self.cameras), self.reading.size, before)
        frames, _ = squared(where, [self.pictures(index, key) for key in self.cameras.values()], self.reading.size)
        states = np.arange(len(actions))[:, None] / self.hz  # the format has none: time alone, in seconds
        return Episode(actions, states, proprio, frames, said.success_of(where, columns), self._instruction(row), settings | {"size": frames.shape[2]})

    def _settings(self) -> dict[str, Any]:
        settings = foreign_settings(self.reading.task or UNKNOWN, list(self.cameras), self.hz, {"lerobot": self.info["codebase_version"]})
        settings |= {"no_environment": "a LeRobotDataset of others holds no states of a simulator, by which the task's own observations could be made"}
        return settings | {"source": "lerobot", "proprio": list(self.states), "control": said.control_text(self.info)}

    def _instruction(self, row: dict[str, Any]) -> str:
        return self.reading.instruction or (str(row["tasks"][0]) if row["tasks"] else "")

    def _foreign_states(self) -> tuple[str, ...]:
        keys = self.reading.proprio or ("observation.state",)
        known = [key for key, feature in self.features.items() if feature["dtype"] in ("float32", "float64") and len(feature["shape"]) == 1]
        return tuple(choose(f"{self.path}: proprio", key, known) for key in keys)

    def _foreign_cameras(self) -> dict[str, str]:
        """{our name: feature}."""
        keys = [key for key, feature in self.features.items() if feature["dtype"] in ("image", "video")]
        found = {re.sub(r"\W+", "_", key.removeprefix(meta.IMAGES).removeprefix("observation.")): key for key in keys}
        if not found:
            raise BadInput(f"{self.path}: features: no pictures among {', '.join(self.features)}")
        return {name: found[choose(f"{self.path}: cameras", name, found)] for name in self.reading.cameras or found}
