"""One demonstration, one HDF5 file: a valid robomimic file of one demo, checked by sha256 when it is read. Numpy and h5py only.

Layout (t steps; row i is what held *before* action i, so the state after the last action is not in the file):

    data                        attrs: total, env_args (JSON: env_name, type, env_version, env_kwargs)
    data/demo_0                 attrs: num_samples, model_file (MJCF), ep_meta (JSON), whatwhere (JSON: settings), sha256
    data/demo_0/actions         (t, a) float32 in [-1, 1]; for the expert with noise: its corrective actions
    data/demo_0/executed_actions (t, a) float32, optional: what was sent to the simulator
    data/demo_0/states          (t, n) float64: time, qpos, qvel
    data/demo_0/rewards, dones  (t,) float32, uint8
    data/demo_0/obs/proprio     (t, s) float32
    data/demo_0/obs/<camera>_image (t, h, w, 3) uint8, gzip 4

Each dataset carries the sha256 of its values; the demo's covers its attributes and those digests, so a part can be read and still be verified.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from envs.demos.hdf5 import Hdf5File
from envs.demos.layout import check_array, check_values, digest_of, image_name, seal_of
from envs.demos.reader import SealedDemo
from whatwhere.errors import BadInput
from whatwhere.files import atomic

ROBOSUITE_TYPE = 1  # robomimic.envs.env_base.EnvType
NAME = re.compile(r"episode_([0-9]+)\.hdf5")
FRAMES_A_CHUNK = 16


@dataclass
class Episode:
    """One recorded episode of t steps; row i of every array is what held before action i.

    frames: (t, cameras, h, w, 3) uint8, one frame a step (`frame_pairs` makes the pairs a policy sees); None if they were not read.
    attrs:  the settings named in `envs.demos.records.Settings`, `model_file` (MJCF text) if known, and whatever else JSON can hold.
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
    remedy = f"make a folder of it: python -m envs.demos.convert src={folder} out=FOLDER to=folder"
    if folder.is_file():
        raise BadInput(f"{folder}: is a file, needed is a folder of episode_<i>.hdf5; {remedy}")
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder of demonstrations")
    found = sorted((int(match[1]), path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name)))
    if not found:
        raise BadInput(f"{folder}: holds no demonstrations (episode_<i>.hdf5){f'; {remedy}' if (folder / 'meta/info.json').exists() else ''}")
    for (one, path), (other, again) in itertools.pairwise(found):
        if one == other:
            raise BadInput(f"{folder}: {path.name} and {again.name} have the same number; rename one of them")
    return [path for _, path in found]


def write_episode(path: str | Path, episode: Episode) -> None:
    """Writes `episode` atomically. Raises BadInput if it is not a valid episode (types, shapes, ranges, settings)."""
    path = Path(path)
    arrays = checked_arrays(path, episode)
    image = io.BytesIO()  # not the file itself: on a full disk HDF5 fails again when the process ends, and takes it down
    with h5py.File(image, "w") as file:
        data = file.create_group("data")
        demo = data.create_group("demo_0")
        data.attrs["total"] = len(episode)
        write_demo(demo, episode, arrays, env_args=data)
    with atomic(path) as temporary:
        temporary.write_bytes(image.getbuffer())


def write_demo(demo: h5py.Group, episode: Episode, arrays: dict[str, np.ndarray], env_args: h5py.Group) -> str:
    """Fills the group of one demonstration with what `checked_arrays` let pass; the group `env_args` gets the attribute of that name, which is returned."""
    settings = {key: value for key, value in episode.attrs.items() if key != "model_file"}
    made_in = {"env_name": settings.get("env_name", settings["task"]), "type": ROBOSUITE_TYPE, "env_version": settings["versions"].get("robosuite")}
    texts = {
        "env_args": json.dumps({**made_in, "env_kwargs": settings.get("env_kwargs") or {}}),
        "model_file": str(episode.attrs.get("model_file", "")),
        "ep_meta": json.dumps({"lang": episode.instruction}),
        "whatwhere": json.dumps({**settings, "success": bool(episode.success), "instruction": episode.instruction}, allow_nan=False),
    }
    demo.attrs["num_samples"] = len(episode)
    for name, text in texts.items():
        (env_args if name == "env_args" else demo).attrs[name] = text
    digests = {}
    for name, array in arrays.items():
        if array.ndim == 4:  # measured: lzf is 3 times as large and slower to read, and shuffle does nothing for single bytes
            chunks = (min(FRAMES_A_CHUNK, len(array)), *array.shape[1:])
            dataset = demo.create_dataset(name, data=array, chunks=chunks, compression="gzip", compression_opts=4)
        else:
            dataset = demo.create_dataset(name, data=array)
        digests[name] = dataset.attrs["sha256"] = digest_of(array)
    demo.attrs["sha256"] = seal_of(texts, digests)
    return texts["env_args"]


def read_episode(path: str | Path, frames: bool = True) -> Episode:
    """The episode in a file; without pictures (`frames` None) if frames=False. Raises BadInput, one line, if it is missing, damaged or not valid."""
    with Hdf5File(Path(path)) as file, file.reading():
        return episode_of(SealedDemo(file), frames)


def episode_of(demo: SealedDemo, frames: bool = True) -> Episode:
    """The episode of one demonstration in an open file. Raises BadInput."""
    settings = dict(demo.settings)
    arrays = {name: demo.array(name) for name in demo.digests if frames or not name.endswith("_image")}
    pictures = np.stack([arrays[image_name(camera)] for camera in settings["cameras"]], axis=1) if frames else None
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
    with Hdf5File(Path(path)) as file, file.reading():
        return header_of(SealedDemo(file))


def header_of(demo: SealedDemo) -> dict[str, Any]:
    """What `read_attrs` gives, of one demonstration in an open file."""
    return {**demo.settings, "steps": demo.steps, "sha256": demo.sha256}


def checked_arrays(path: Path, episode: Episode) -> dict[str, np.ndarray]:
    """The datasets of `episode` by their names in the file. Raises BadInput, naming `path`, if it is not a valid episode (types, shapes, ranges, settings)."""
    from envs.demos.records import check_settings  # where an episode is written, not where a command starts

    arrays = _arrays(episode)
    check_settings(path, {key: value for key, value in episode.attrs.items() if key != "model_file"})
    for name, array in arrays.items():
        check_array(path, name, array.shape, array.dtype, len(episode.actions))
        check_values(path, name, array)
    return arrays


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
    arrays.update({image_name(camera): episode.frames[:, i] for i, camera in enumerate(cameras)})
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
