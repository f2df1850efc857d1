"""Records an episode as video: h264, 20 frames a second, 1120 × 480 (see `picture`)."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from envs.video import VideoFile
from eval.observers import Observer, picture
from eval.observers.influence import draw_influence

LAST_FRAME_S = 1.0  # how long the end is held
ENCODING = ("-crf", "23", "-preset", "veryfast", "-threads", "1", "-movflags", "+faststart")


class VideoObserver(Observer):
    """Writes `folder`/videos/episode_<i>.mp4 and adds its path, relative to `folder`, to the row as `video`.

    `keep="failures"` records every episode and keeps those that failed (`video` is None for the others). A file appears under its name when it is whole.
    Raises Failed where it cannot be written.
    """

    def __init__(self, folder: str | Path, label: str, keep: Literal["all", "failures"] = "all", influence: bool = False) -> None:
        """`label`: who acts, for the title. `influence`: also show how much each stream moves the action, which asks the policy again (policy.agent)."""
        self.folder, self.label, self.keep, self.shows_influence = Path(folder), label, keep, influence

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.title = f"{env.task} · {self.label} · episode {row['episode']}"
        self.name = f"videos/episode_{row['episode']}.mp4"
        self.video = VideoFile(self.folder / self.name, picture.HEIGHT, picture.WIDTH, env.control_hz, ENCODING)
        self.errors_cm: list[float] = []
        self.steps = 0
        self.influence: list[tuple[int, dict[str, float]]] = []
        self.instruction = obs["instruction"]
        self.side = picture.panel(obs["frames"], env.cameras)
        self._draw(env, info)

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        self.side = picture.panel(obs["frames"], env.cameras, policy.attention())
        if self.shows_influence and (told := policy.influence()) is not None:
            self.influence.append((self.steps, told))

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        self.steps += 1
        self._draw(env, info)

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        word = "success" if row["success"] else row["failure"] or "failed"
        final = self._compose((word, row["success"]))
        for _ in range(round(LAST_FRAME_S * env.control_hz)):
            self.video.write(final)
        if self.keep == "failures" and row["success"]:
            self.video.drop()
            return {"video": None}
        self.video.finish()
        return {"video": self.name}

    def _draw(self, env: Any, info: dict[str, Any]) -> None:
        self.scene = env.render()
        points = {name: info[f"privileged/{name}_pos_world"] for name in picture.MARKS if f"privileged/{name}_pos_world" in info}
        size = self.scene.shape[:2]
        self.marks = {name: env.project(env.scene_camera, np.asarray(point)[None, :3], *size)[0] for name, point in points.items()}
        error = info["position_error_cm"]
        if error is not None and math.isfinite(error):
            self.errors_cm.append(float(error))
        self.horizon, self.control_hz = env.horizon, env.control_hz
        self.video.write(self._compose(("success", True) if info["success"] else ("running", None)))

    def _compose(self, outcome: tuple[str, bool | None]) -> np.ndarray:
        inset = partial(draw_influence, told=self.influence, horizon=self.horizon) if self.shows_influence else None
        return picture.compose(
            self.scene, self.side, self.title, self.marks, self.errors_cm, self.steps, self.horizon, self.control_hz, self.instruction, outcome, inset
        )
