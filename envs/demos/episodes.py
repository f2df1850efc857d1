"""One demonstration, one HDF5 file: a valid robomimic file of one demo, checked by sha256 when it is read. Numpy and h5py only.

Layout (t steps; row i is what held *before* action i, so the state after the last action is not in the file):

    data                        attrs: total, env_args (JSON: env_name, type, env_version, env_kwargs)
    data/demo_0                 attrs: num_samples, model_file (MJCF), ep_meta (JSON), whatwhere (JSON: settings), sha256
    data/demo_0/actions         (t, a) float32 in [-1, 1]; for the expert with noise: its corrective actions
    data/demo_0/executed_actions (t, a) float32, optional: what was sent to the simulator
    data/demo_0/states          (t, n) float64: time, qpos, qvel
    data/demo_0/rewards, dones  (t,) float32, uint8
    data/demo_0/obs/proprio     (t, s) float32
    data/demo_0/obs/<camera>_image (t, h, w, 3) uint8, gzip

Each dataset carries the sha256 of its values; the demo's covers its attributes and those digests, so a part can be read and still be verified.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from whatwhere.errors import BadInput
from whatwhere.files import atomic

ROBOSUITE_TYPE = 1  # robomimic.envs.env_base.EnvType
NAME = re.compile(r"episode_(\d+)\.hdf5")
FRAMES_A_CHUNK = 16
MAX_STEPS, MAX_BYTES, MAX_TEXT = 100_000, 4 << 30, 16 << 20
MAX_DEFLATION = 1200  # no filter used here shrinks further, so a larger claimed shape is damage, not data
FILTERS = {1, 2, 3, 32000}  # gzip, shuffle, fletcher32, lzf: nothing that loads a plug-in
NONE = type(None)
FIELDS: dict[str, tuple[type, ...]] = {  # what `attrs` must hold; more is kept as it is (anything that JSON can say)
    "task": (str,),
    "task_version": (str,),
    "init_hash": (str, NONE),
    "seed": (int, NONE),
    "episode": (int, NONE),
    "rendering": (str,),
    "size": (int,),
    "cameras": (list, tuple),
    "frame_gap": (int,),
    "control_hz": (int, float),
    "horizon": (int, NONE),
    "versions": (dict,),
}


@dataclass
class Episode:
    """One recorded episode of t steps; row i of every array is what held before action i.

    frames: (t, cameras, h, w, 3) uint8, one frame a step (`frame_pairs` makes the pairs a policy sees); None if they were not read.
    attrs:  the settings named in FIELDS, `model_file` (MJCF text) if known, and whatever else JSON can hold.
    """

    actions: np.ndarray  # (t, a) float32
    states: np.ndarray  # (t, n) float64
    proprio: np.ndarray  # (t, s) float32
    frames: np.ndarray | None  # (t, c, h, w, 3) uint8
    success: bool
    instruction: str
    attrs: dict[str, Any] = field(default_factory=dict)
    executed_actions: np.ndarray | None = None  # (t, a) float32, where they differ from `actions`

    def __len__(self) -> int:
        return len(self.actions)


def pair_indices(num_steps: int, gap: int) -> np.ndarray:
    """(num_steps, 2): the frames that make the pair of step t, (max(t - gap, 0), t): before step `gap` the first frame stands in."""
    now = np.arange(num_steps)
    return np.stack([np.maximum(now - gap, 0), now], axis=1)


def frame_pairs(frames: np.ndarray, gap: int) -> np.ndarray:
    """(t, c, h, w, 3) → (t, c, 2, h, w, 3): for each step the frame `gap` steps ago and the current one, as the environment gives them."""
    return np.moveaxis(frames[pair_indices(len(frames), gap)], 1, 2)


def episode_paths(folder: str | Path) -> list[Path]:
    """The files `episode_<i>.hdf5` of a folder in order of i. Raises BadInput if the folder is missing or has none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder of demonstrations")
    found = {int(match[1]): path for path in folder.iterdir() if (match := NAME.fullmatch(path.name))}
    if not found:
        raise BadInput(f"{folder}: holds no demonstrations (episode_<i>.hdf5)")
    return [found[i] for i in sorted(found)]


def write_episode(path: str | Path, episode: Episode) -> None:
    """Writes `episode` atomically. Raises BadInput if it is not a valid episode (types, shapes, ranges, settings)."""
    path, arrays = Path(path), _arrays(episode)
    settings = {key: value for key, value in episode.attrs.items() if key != "model_file"}
    _check_settings(path, settings)
    for name, array in arrays.items():
        _check_array(path, name, array.shape, array.dtype, len(episode.actions))
        _check_values(path, name, array)
    env_args = {"env_name": settings.get("env_name", settings["task"]), "type": ROBOSUITE_TYPE, "env_version": settings["versions"].get("robosuite")}
    texts = {
        "env_args": json.dumps({**env_args, "env_kwargs": settings.get("env_kwargs", {})}),
        "model_file": str(episode.attrs.get("model_file", "")),
        "ep_meta": json.dumps({"lang": episode.instruction}),
        "whatwhere": json.dumps({**settings, "success": bool(episode.success), "instruction": episode.instruction}, allow_nan=False),
    }
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_group("data")
        demo = data.create_group("demo_0")
        data.attrs["total"] = demo.attrs["num_samples"] = len(episode)
        for name, text in texts.items():
            (data if name == "env_args" else demo).attrs[name] = text
        digests = {}
        for name, array in arrays.items():
            if array.ndim == 4:  # pictures; shuffle only matters for items of several bytes
                chunks = (min(FRAMES_A_CHUNK, len(array)), *array.shape[1:])
                dataset = demo.create_dataset(name, data=array, chunks=chunks, compression="gzip", compression_opts=1)
            else:
                dataset = demo.create_dataset(name, data=array)
            digests[name] = dataset.attrs["sha256"] = _digest(array)
        demo.attrs["sha256"] = _seal(texts, digests)


def read_episode(path: str | Path, frames: bool = True) -> Episode:
    """The episode in a file; without pictures (`frames` None) if frames=False. Raises BadInput, one line, if it is missing, damaged or not valid."""
    path = Path(path)
    with _Reader(path) as reader:
        settings = reader.settings()
        arrays = {name: reader.array(name) for name in reader.digests if frames or not name.endswith("_image")}
    pictures = np.stack([arrays[_image(camera)] for camera in settings["cameras"]], axis=1) if frames else None
    return Episode(
        actions=arrays["actions"],
        states=arrays["states"],
        proprio=arrays["obs/proprio"],
        frames=pictures,
        success=settings.pop("success"),
        instruction=settings.pop("instruction"),
        attrs=settings,
        executed_actions=arrays.get("executed_actions"),
    )


def read_attrs(path: str | Path) -> dict[str, Any]:
    """Only the settings, with `success`, `instruction`, `steps` and `sha256` (of all content): quick, for lists of hashes. Raises BadInput."""
    with _Reader(Path(path)) as reader:
        return {**reader.settings(), "steps": reader.steps, "sha256": reader.sha256}


def _image(camera: str) -> str:
    return f"obs/{camera}_image"


def _arrays(episode: Episode) -> dict[str, np.ndarray]:
    """The datasets of an episode by their names in the file."""
    steps = len(episode.actions)
    rewards, dones = np.zeros(steps, np.float32), np.zeros(steps, np.uint8)
    rewards[-1:], dones[-1:] = float(episode.success), 1
    arrays = {"actions": episode.actions, "states": episode.states, "rewards": rewards, "dones": dones, "obs/proprio": episode.proprio}
    if episode.executed_actions is not None:
        arrays["executed_actions"] = episode.executed_actions
    cameras = list(episode.attrs.get("cameras", ()))
    if episode.frames is None or episode.frames.ndim != 5 or episode.frames.shape[1] != len(cameras):
        found = None if episode.frames is None else episode.frames.shape
        raise BadInput(f"frames: needs shape (t, {len(cameras)}, h, w, 3) for cameras {cameras}, found {found}")
    arrays.update({_image(camera): episode.frames[:, i] for i, camera in enumerate(cameras)})
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


_KINDS = {"actions": ("f4", 2), "executed_actions": ("f4", 2), "states": ("f8", 2), "rewards": ("f4", 1), "dones": ("u1", 1), "obs/proprio": ("f4", 2)}


def _check_array(path: Path, name: str, shape: tuple[int, ...], dtype: Any, steps: int) -> None:
    """Type and shape, before a value is read."""
    kind, ndim = _KINDS.get(name, ("u1", 4))
    where = f"{path}: {name}"
    if dtype != np.dtype(kind):
        raise BadInput(f"{where}: needs type {np.dtype(kind)}, found {dtype}")
    if len(shape) != ndim or 0 in shape or (ndim == 4 and shape[3] != 3):
        raise BadInput(f"{where}: needs {'(t, h, w, 3)' if ndim == 4 else f'{ndim} axes'} and no empty one, found shape {shape}")
    if shape[0] != steps or steps > MAX_STEPS:
        raise BadInput(f"{where}: needs {steps} steps (at most {MAX_STEPS}), found {shape[0]}")
    if (ndim == 2 and shape[1] > 4096) or (ndim == 4 and max(shape[1:3]) > 4096) or _num_bytes(shape, kind) > MAX_BYTES:
        raise BadInput(f"{where}: shape {shape} is larger than any demonstration")


def _num_bytes(shape: tuple[int, ...], kind: Any) -> int:
    size = np.dtype(kind).itemsize
    for extent in shape:  # plain integers: numpy's product wraps around
        size *= int(extent)
    return size


def _check_values(path: Path, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput(f"{path}: {name}: NaN or infinite at step {int(np.argwhere(~np.isfinite(array))[0][0])}")
    if name.endswith("actions") and np.abs(array).max() > 1:
        raise BadInput(f"{path}: {name}: needs values in [-1, 1], found {array.flat[np.abs(array).argmax()]:g}")


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    for key, kinds in FIELDS.items():
        if key not in settings:
            raise BadInput(f"{path}: {key}: missing among the settings; needed: {', '.join(FIELDS)}")
        value = settings[key]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise BadInput(f"{path}: {key}: needs {' or '.join('null' if kind is NONE else kind.__name__ for kind in kinds)}, found {value!r:.60}")
    cameras = settings["cameras"]
    if not cameras or not all(isinstance(name, str) and re.fullmatch(r"\w+", name) for name in cameras) or len(set(cameras)) != len(cameras):
        raise BadInput(f"{path}: cameras: needs different names of letters, digits and _, found {cameras!r:.60}")


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(array.data.cast("B"))
    return digest.hexdigest()


def _seal(texts: dict[str, str], digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([texts, digests], sort_keys=True).encode()).hexdigest()


class _Reader:
    """A file being read: nothing in it is trusted until its digest fits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        if not self.path.is_file():
            raise BadInput(f"{self.path}: {'is a folder, not an episode' if self.path.is_dir() else 'no such file'}")
        try:
            self.file = h5py.File(self.path, "r")
        except OSError as error:
            raise BadInput(f"{self.path}: not a whole HDF5 file ({_short(error)})") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.file.close()
        except (OSError, RuntimeError) as late:
            error = error or late
        if isinstance(error, (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError, AttributeError)):
            raise BadInput(f"{self.path}: damaged ({_short(error)})") from None  # what HDF5 says to a damaged file has many names

    def settings(self) -> dict[str, Any]:
        """All attributes, verified; sets `steps`, `sha256` and `digests` ({dataset: sha256})."""
        self.demo = self._hard("data/demo_0", h5py.Group)
        texts = {name: self._text(self.demo, name) for name in ("model_file", "ep_meta", "whatwhere")}
        texts["env_args"] = self._text(self.demo.parent, "env_args")
        settings = json.loads(texts["whatwhere"])
        if not isinstance(settings, dict):
            raise BadInput(f"{self.path}: whatwhere: needs a JSON object")
        _check_settings(self.path, settings)
        if not isinstance(settings.get("success"), bool) or not isinstance(settings.get("instruction"), str):
            raise BadInput(f"{self.path}: success, instruction: missing or of a wrong type")
        names = ["actions", "states", "rewards", "dones", "obs/proprio", *map(_image, settings["cameras"])]
        if "executed_actions" in self.demo:
            names.append("executed_actions")
        self.datasets = {name: self._hard(f"data/demo_0/{name}", h5py.Dataset) for name in names}
        self.digests = {name: self._text(dataset, "sha256") for name, dataset in self.datasets.items()}
        self.sha256 = self._text(self.demo, "sha256")
        if self.sha256 != _seal(texts, self.digests):
            raise BadInput(f"{self.path}: sha256 of the settings does not fit: the file was damaged or edited")
        self.steps = int(self.demo.attrs["num_samples"])
        for name, dataset in self.datasets.items():
            self._check_storage(name, dataset)
        return {**settings, "cameras": list(settings["cameras"]), "model_file": texts["model_file"]}

    def array(self, name: str) -> np.ndarray:
        """The values of a dataset, verified."""
        dataset = self.datasets[name]
        array = np.empty(dataset.shape, dataset.dtype)
        dataset.read_direct(array)
        if _digest(array) != self.digests[name]:
            raise BadInput(f"{self.path}: {name}: sha256 does not fit: the file is damaged")
        _check_values(self.path, name, array)
        return array

    def _hard(self, name: str, kind: type) -> Any:
        """The object at `name`, reached by hard links only: a soft or external link would read another place or file."""
        place: Any = self.file
        for part in name.split("/"):
            if not isinstance(place, h5py.Group) or part not in place:
                raise BadInput(f"{self.path}: {name}: missing; not a demonstration of this package")
            if not isinstance(place.get(part, getlink=True), h5py.HardLink):
                raise BadInput(f"{self.path}: {name}: is a link to elsewhere; only data in the file itself are read")
            place = place[part]
        if not isinstance(place, kind):
            raise BadInput(f"{self.path}: {name}: needs a {kind.__name__.lower()}")
        return place

    def _text(self, place: Any, name: str) -> str:
        if name not in place.attrs:
            raise BadInput(f"{self.path}: attribute {name} of {place.name}: missing; not a demonstration of this package")
        attribute = place.attrs.get_id(name)
        if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None or attribute.get_storage_size() > MAX_TEXT:
            raise BadInput(f"{self.path}: attribute {name} of {place.name}: needs a text")
        text = place.attrs[name]
        return text.decode() if isinstance(text, bytes) else str(text)

    def _check_storage(self, name: str, dataset: h5py.Dataset) -> None:
        """Type, shape and where the bytes lie, before memory is taken for them."""
        if dataset.is_virtual or dataset.external:
            raise BadInput(f"{self.path}: {name}: its values lie in another file; only data in the file itself are read")
        _check_array(self.path, name, dataset.shape, dataset.dtype, self.steps)
        filters = dataset.id.get_create_plist()
        if not {filters.get_filter(i)[0] for i in range(filters.get_nfilters())} <= FILTERS:
            raise BadInput(f"{self.path}: {name}: compressed by a filter other than gzip and lzf")
        stored = dataset.id.get_storage_size()
        claimed = max(_num_bytes(dataset.shape, dataset.dtype), _num_bytes(dataset.chunks or (), dataset.dtype))
        if stored > self.path.stat().st_size or claimed > MAX_DEFLATION * stored:
            raise BadInput(f"{self.path}: {name}: shape {dataset.shape} does not fit the {stored} bytes stored")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
