"""What a gymnasium environment shows: pictures for the policy's cameras, numbers for its proprio, or numbers that only an expert may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from whatwhere.errors import BadInput, choose

RENDERED = "rendered"  # the name of the camera where the environment's own rendering stands in for pictures
PLAIN = "image"  # the name of the camera where the whole observation is one picture
SMALLEST = 8  # pixels of a picture's edge
MOST_IN_A_LIST, MOST_IN_A_TABLE = 256, 64  # numbers that are proprio unless the environment says otherwise
MOST_PROPRIO = 4096  # as in demonstrations


class Shown:
    """The last observation, sorted by one rule.

    *Pictures*, each a camera named after its key: uint8 of shape (h, w, 3), (h, w, 1) or (3, h, w), or such floats with bounds 0 and 1, of at least 8 × 8
    pixels. *Proprio*: lists of at most 256 numbers and other arrays of at most 64, each brought to [-1, 1] (by its bounds, or by x / (1 + |x|) without
    bounds). *Left out*: everything else, such as depth maps, masks, point clouds and texts. Where there is no picture, the environment's own rendering is
    the picture, and its numbers are privileged: they would tell what the picture is to be asked.

    An environment chooses otherwise by two lists of keys, `policy_cameras` and `policy_proprio`: any array with bounds that has the shape of a picture, with
    4 channels too, can be a camera, and any numbers can be proprio.
    """

    def __init__(self, task: str, env: gymnasium.Env, size: int, cameras: Any = None, proprio: Any = None) -> None:
        """Raises BadInput if there is no picture to be had, and for names that are not there or cannot be what they are chosen for."""
        self.env, self.size = env, size
        self._leaves = dict(_leaves(env.observation_space))
        boxes = {name: box for name, box in self._leaves.items() if isinstance(box, spaces.Box)}
        images = [name for name, box in boxes.items() if _is_picture(box)] if cameras is None else _chosen(task, "policy_cameras", cameras, boxes)
        for name in images:
            if _channels(boxes[name].shape) is None or not _is_bounded(boxes[name]):
                raise BadInput(f"task={task}: policy_cameras: {name} is {_words(boxes[name])}: needs bounds and (h, w), (h, w, 1, 3 or 4) or (1, 3 or 4, h, w)")
        self.is_rendered = not images
        if self.is_rendered and env.render_mode != "rgb_array":
            found = ", ".join(f"{name or 'observation'} {_words(leaf)}" for name, leaf in self._leaves.items()) or env.observation_space
            raise BadInput(f"task={task}: has no picture, uint8 (h, w, 3), among its observations ({found}), and none by render_mode=rgb_array")
        self._images = {_camera(name): name for name in images} if images else {RENDERED: ""}
        self._ranges = {name: _range(boxes[name]) for name in images}
        self._all = {name: box for name, box in boxes.items() if name not in images and box.dtype.kind in "biuf"}
        small = [name for name, box in self._all.items() if _size(box) <= (MOST_IN_A_LIST if len(box.shape) < 2 else MOST_IN_A_TABLE)]
        self._numbers = {name: self._all[name] for name in (small if proprio is None else _chosen(task, "policy_proprio", proprio, self._all))}
        self.cameras = tuple(self._images)
        self.proprio_dim = 1 if self.is_rendered or not self._numbers else sum(map(_size, self._numbers.values()))
        if self.proprio_dim > MOST_PROPRIO:
            raise BadInput(f"task={task}: proprio of {self.proprio_dim} numbers; at most {MOST_PROPRIO}: name fewer in policy_proprio")

    def line(self) -> str:
        """What the policy sees, and what it does not."""
        images = {} if self.is_rendered else self._images
        cameras = ", ".join(f"{camera} {_words(self._leaves[name])}" for camera, name in images.items()) or "its own rendering"
        proprio = ", ".join(f"{name or 'observation'} ({_size(box)})" for name, box in self._numbers.items()) or "nothing"
        names = [name for name in self._leaves if name not in self._numbers and name not in images.values()]
        left_out = ", ".join(f"{name or 'observation'} {_words(self._leaves[name])}" for name in names)
        words = f"pictures: {cameras}; {'privileged' if self.is_rendered else 'proprio'}: {proprio}"
        return f"{words}; left out: {left_out} (policy_cameras and policy_proprio choose: docs/gymnasium.md)" if left_out else words

    def look(self, observation: Any) -> None:
        """Takes the present observation, and draws where the environment shows no picture by itself."""
        self._parts = dict(_parts(observation))
        if self.is_rendered:
            self._originals = {RENDERED: np.asarray(self.env.render())}
        else:
            self._originals = {camera: _rgb(self._parts[name], self._ranges[name]) for camera, name in self._images.items()}
        # uint8 (cameras, size, size, 3)
        self.pictures = np.stack([resized(picture, self.size, self.size) for picture in self._originals.values()])

    def original(self, camera: str) -> np.ndarray:
        """The present picture of a camera, uint8 (h, w, 3), as the environment made it."""
        return self._originals[camera]

    def numbers(self) -> np.ndarray:
        """float64 (n,): what is, or without a picture would be, proprio."""
        return np.concatenate([np.ravel(self._parts[name]).astype(np.float64) for name in self._numbers] or [np.zeros(0)])

    def proprio(self) -> np.ndarray:
        """float32 (s,) in [-1, 1]; one zero where there is nothing that a policy may know."""
        if self.is_rendered or not self._numbers:
            return np.zeros(1, np.float32)
        return np.concatenate([_unit(np.ravel(self._parts[name]), box) for name, box in self._numbers.items()]).astype(np.float32)

    def privileged(self) -> dict[str, np.ndarray]:
        """All numbers of the observation, for experts."""
        return {name or "observation": np.asarray(self._parts[name], np.float64) for name in self._all}

    def fingerprint(self) -> bytes:
        return self.numbers().tobytes() + self.pictures.tobytes()


def _leaves(space: spaces.Space, name: str = "") -> Iterator[tuple[str, spaces.Space]]:
    """The parts of a space by their dotted names: boxes, whole numbers as such, and what is neither as it is."""
    if isinstance(space, spaces.Discrete):
        yield name, spaces.Box(float(space.start), float(space.start + space.n - 1), (1,))
    elif isinstance(space, spaces.MultiDiscrete):
        yield name, spaces.Box(space.start.astype(np.float32), (space.start + space.nvec - 1).astype(np.float32))
    elif isinstance(space, spaces.MultiBinary):
        yield name, spaces.Box(0, 1, space.shape)
    elif isinstance(space, spaces.Dict | spaces.Tuple):
        for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces):
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, space


def _parts(observation: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(observation, dict | tuple):
        for key, part in observation.items() if isinstance(observation, dict) else enumerate(observation):
            yield from _parts(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, observation if isinstance(observation, str) else np.asarray(observation)


def _chosen(task: str, field: str, names: Any, valid: Mapping[str, Any]) -> list[str]:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"task={task}: {field}: needs a list of names, found {names!r:.60}; valid: {', '.join(valid)}")
    return [choose(f"task={task}: {field}", name, valid) for name in names]


def _is_picture(box: spaces.Box) -> bool:
    values = box.dtype == np.uint8 or (box.dtype.kind == "f" and (box.low == 0).all() and (box.high == 1).all())
    return bool(values) and len(box.shape) == 3 and _channels(box.shape) in (1, 3) and (box.shape[2] in (1, 3) or box.shape[0] == 3)


def _channels(shape: tuple[int, ...]) -> int | None:
    """How many channels a picture of that shape has; None if it is none."""
    if len(shape) == 2:
        return 1 if min(shape) >= SMALLEST else None
    last, first = (len(shape) == 3 and shape[place] in (1, 3, 4) and min(rest) >= SMALLEST for place, rest in ((2, shape[:2]), (0, shape[1:])))
    return shape[2] if last else shape[0] if first else None


def _is_bounded(box: spaces.Box) -> bool:
    return bool(np.isfinite(box.low).all() and np.isfinite(box.high).all() and (box.high > box.low).all())


def _size(box: spaces.Box) -> int:
    return int(np.prod(box.shape))


def _words(space: spaces.Space) -> str:
    return f"{space.dtype}{space.shape}" if isinstance(space, spaces.Box) else type(space).__name__


def _camera(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name) or PLAIN


def _range(box: spaces.Box) -> tuple[float, float] | None:
    """What is black and what is white; None if they are 0 and 255 as they are."""
    low, high = float(box.low.min()), float(box.high.max())
    return None if box.dtype == np.uint8 and (low, high) == (0, 255) else (low, high)


def _rgb(picture: np.ndarray, range_: tuple[float, float] | None) -> np.ndarray:
    """uint8 (h, w, 3), on white where it is transparent."""
    if picture.ndim == 2:
        picture = picture[..., None]
    elif picture.shape[2] not in (1, 3, 4):
        picture = np.moveaxis(picture, 0, 2)
    if range_ is not None:
        low, high = range_
        picture = (np.clip((picture.astype(np.float64) - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    if picture.shape[2] == 4:
        share = picture[..., 3:].astype(np.float64) / 255
        picture = (picture[..., :3] * share + 255 * (1 - share) + 0.5).astype(np.uint8)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else np.ascontiguousarray(picture)


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
