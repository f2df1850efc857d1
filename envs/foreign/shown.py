"""What a gymnasium environment shows: pictures for the policy's cameras, numbers for its proprio, or numbers that only an expert may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from whatwhere.errors import BadInput

RENDERED = "rendered"  # the name of the camera where the environment's own rendering stands in for pictures
PLAIN = "image"  # the name of the camera where the whole observation is one picture


class Shown:
    """The last observation, sorted.

    Every uint8 Box (h, w, 3) or (h, w, 1) of the observation is a camera, named after its key. With pictures there, all other
    numbers of the observation are proprio, each brought to [-1, 1] (by its bounds, or by x / (1 + |x|) without bounds). Without
    any, the environment's own rendering is the picture, and its numbers are privileged: they would tell what the picture is to be asked.
    """

    def __init__(self, task: str, env: gymnasium.Env, size: int) -> None:
        """Raises BadInput if there is no picture to be had."""
        self.env, self.size = env, size
        boxes = dict(_boxes(env.observation_space))
        images = {name: box for name, box in boxes.items() if _is_picture(box)}
        self.is_rendered = not images
        if self.is_rendered and env.render_mode != "rgb_array":
            found = ", ".join(f"{name or 'observation'} {box.dtype}{box.shape}" for name, box in boxes.items()) or env.observation_space
            raise BadInput(f"task={task}: has no picture, uint8 (h, w, 3), among its observations ({found}), and none by render_mode=rgb_array")
        self._images = {_camera(name): name for name in images} if images else {RENDERED: ""}
        self._numbers = {name: box for name, box in boxes.items() if name not in images and np.issubdtype(box.dtype, np.number)}
        self.cameras = tuple(self._images)
        self.proprio_dim = 1 if self.is_rendered or not self._numbers else sum(int(np.prod(box.shape)) for box in self._numbers.values())

    def look(self, observation: Any) -> None:
        """Takes the present observation, and draws where the environment shows no picture by itself."""
        self._parts = dict(_parts(observation))
        if self.is_rendered:
            self._originals = {RENDERED: np.asarray(self.env.render())}
        else:
            self._originals = {camera: _rgb(self._parts[name]) for camera, name in self._images.items()}
        # uint8 (cameras, size, size, 3)
        self.pictures = np.stack([resized(picture, self.size, self.size) for picture in self._originals.values()])

    def original(self, camera: str) -> np.ndarray:
        """The present picture of a camera, uint8 (h, w, 3), as the environment made it."""
        return self._originals[camera]

    def numbers(self) -> np.ndarray:
        """float64 (n,): everything that is no picture."""
        return np.concatenate([np.ravel(self._parts[name]).astype(np.float64) for name in self._numbers] or [np.zeros(0)])

    def proprio(self) -> np.ndarray:
        """float32 (s,) in [-1, 1]; one zero where there is nothing that a policy may know."""
        if self.is_rendered or not self._numbers:
            return np.zeros(1, np.float32)
        return np.concatenate([_unit(np.ravel(self._parts[name]), box) for name, box in self._numbers.items()]).astype(np.float32)

    def privileged(self) -> dict[str, np.ndarray]:
        """The numbers of the observation, for experts."""
        return {name or "observation": np.asarray(self._parts[name], np.float64) for name in self._numbers}

    def fingerprint(self) -> bytes:
        return self.numbers().tobytes() + self.pictures.tobytes()


def _boxes(space: spaces.Space, name: str = "") -> Iterator[tuple[str, spaces.Box]]:
    if isinstance(space, spaces.Box):
        yield name, space
    elif isinstance(space, spaces.Discrete):
        yield name, spaces.Box(float(space.start), float(space.start + space.n - 1), (1,))
    elif isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _boxes(part, f"{name}.{key}" if name else str(key))


def _parts(observation: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(observation, dict):
        for key, part in observation.items():
            yield from _parts(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, np.asarray(observation)


def _is_picture(box: spaces.Box) -> bool:
    return box.dtype == np.uint8 and len(box.shape) == 3 and box.shape[2] in (1, 3)


def _camera(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name) or PLAIN


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _unit(values: np.ndarray, box: spaces.Box) -> np.ndarray:
    low, high = np.ravel(box.low).astype(np.float64), np.ravel(box.high).astype(np.float64)
    bounded = np.isfinite(low) & np.isfinite(high) & (high > low) & (high - low < 1e6)  # some write the largest float for "no bound"
    spread = np.where(bounded, high - low, 1.0)
    return np.where(bounded, 2 * (values - np.where(bounded, low, 0.0)) / spread - 1, values / (1 + np.abs(values)))


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): every pixel the mean of those it covers."""
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BOX))


def fitted(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3): the whole picture, as large as it goes, in the middle of black."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows, columns = max(1, round(scale * picture.shape[0])), max(1, round(scale * picture.shape[1]))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = resized(picture, rows, columns)
    return canvas
