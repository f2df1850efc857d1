"""Composes a frame for every control step of an episode (see `picture`). What becomes of the frames is a subclass's affair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from envs.video import VideoFile
from eval.observers import Observer, picture
from eval.observers.desire_inset import DesireInset
from eval.observers.influence import draw_influence
from eval.observers.words_inset import draw_words
from policy.fallback.detect import received

LAST_FRAME_S = 1.0  # how long films hold the end


class Composed(Observer):
    """`label`: who acts, for the title. `influence`: also show how much each stream moves the action, which asks the policy again (policy.agent)."""

    def __init__(self, label: str, influence: bool = False) -> None:
        self.label, self.shows_influence = label, influence

    def take(self, frame: np.ndarray) -> None:
        """The next frame, uint8 (480, 1120, 3)."""
        raise NotImplementedError

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.title = f"{env.task} · {self.label} · episode {row['episode']}"
        self.errors_cm: list[float] = []
        self.steps = 0
        self.influence: list[tuple[int, dict[str, float]]] = []
        self.instruction = obs["instruction"]
        self.fallen: Any = None
        self.desire = DesireInset()
        self.words: Any = None
        self.side = picture.panel(_seen(env, obs), env.cameras)
        self._draw(env, info)

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        seen = _seen(env, obs)
        self.side = picture.panel(seen, env.cameras, policy.attention())
        self.words, self.seen = policy.word_attention(), seen
        self.fallen = policy.fallen()
        if self.shows_influence and (told := policy.influence()) is not None:
            self.influence.append((self.steps, told))
        if (desire := policy.wanted()) is not None:
            self.desire.add(self.steps, desire, seen[:, 1])

    def step(self, env: Any, action: np.ndarray, info: dict[str, Any]) -> None:
        self.steps += 1
        self._draw(env, info)

    def final(self, row: dict[str, Any]) -> np.ndarray:
        """The last frame, with what the episode came to."""
        word = "success" if row["success"] else row["failure"] or "failed"
        return self._compose((word, row["success"]))

    def _draw(self, env: Any, info: dict[str, Any]) -> None:
        self.scene = env.render()
        points = {name: info[f"privileged/{name}_pos_world"] for name in picture.MARKS if f"privileged/{name}_pos_world" in info}
        size = self.scene.shape[:2]
        self.marks = {name: env.project(env.scene_camera, np.asarray(point)[None, :3], *size)[0] for name, point in points.items()}
        error = info["position_error_cm"]
        if error is not None and math.isfinite(error):
            self.errors_cm.append(float(error))
        self.horizon, self.control_hz = env.horizon, env.control_hz
        self.take(self._compose(("success", True) if info["success"] else ("running", None)))

    def _compose(self, outcome: tuple[str, bool | None]) -> np.ndarray:
        return picture.compose(
            self.scene, self.side, self.title, self.marks, self.errors_cm, self.steps, self.horizon, self.control_hz, self.instruction, outcome, self._insets
        )

    def _insets(self, image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
        self.desire.draw(image, draw)
        if self.words is not None:
            draw_words(image, draw, self.words, self.seen[0, 1], right=bool(self.desire.told))
        if self.shows_influence:
            draw_influence(draw, self.influence, self.horizon)
        if self.fallen is not None:
            _draw_fallback(draw, self.fallen)


class Filmed(Composed):
    """Frames go into `video`, and the last one stays for a second. When the file is whole is the subclass's affair."""

    video: VideoFile

    def take(self, frame: np.ndarray) -> None:
        self.video.write(frame)

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        final = self.final(row)
        for _ in range(round(LAST_FRAME_S * env.control_hz)):
            self.video.write(final)
        return {}


def _seen(env: Any, obs: dict[str, Any]) -> np.ndarray:
    """The pictures of an observation; black where one is missing or broken."""
    return received(obs["frames"], env.cameras, env.size)[0]


def _draw_fallback(draw: ImageDraw.ImageDraw, fallen: Any) -> None:
    """`fallen`: policy.fallback.watch.Fallen."""
    text = f"fallback since step {fallen.step}: {fallen.did.replace('_', ' ')} · {fallen.why}"
    left, top, right, bottom = draw.textbbox((8, 60), text, font=picture.font(15))
    draw.rectangle((left - 5, top - 3, min(right, 630) + 5, bottom + 4), fill=picture.GROUND)
    draw.text((8, 60), text, picture.RED, picture.font(15))
