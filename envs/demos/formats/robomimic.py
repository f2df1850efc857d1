"""robomimic's HDF5: one file, `data/demo_<i>`, `mask/<name>`, `env_args`. https://robomimic.github.io/docs/datasets/overview.html

Each `data/demo_<i>` written here is what `envs.demos.episodes` describes, with seals, so our own come back bit by bit; beside it the robot's state by
robosuite's names (`robot_state`). Of others' files the actions,
states, rewards, chosen observations, texts and masks are read. The model's XML is carried as a text; it is loaded only if `draw` asks for it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from envs import TASKS
from envs.demos.embedded import Drawer
from envs.demos.episodes import Episode, checked_arrays, episode_of, header_of, write_demo
from envs.demos.formats import Reading, Writing, episodes
from envs.demos.formats import Source as AnySource
from envs.demos.formats.foreign import fitted, foreign_settings, out_of_range, scaled_to, task_of
from envs.demos.formats.robosuite_control import said_by
from envs.demos.formats.robot_state import robot_state
from envs.demos.hdf5 import Hdf5File, limited_memory
from envs.demos.layout import MAX_BYTES, MAX_STEPS, check_scaled, num_bytes
from envs.demos.reader import SealedDemo
from envs.demos.sink import Sink
from whatwhere.errors import BadInput, choose
from whatwhere.files import atomic

DEMO = re.compile(r"demo_([0-9]+)")
CLAIM = "whatwhere_converted"  # attribute of `data`: what the file was made of
PROPRIO = re.compile(r"robot\d+_(\w+_)?(eef_pos|eef_quat|gripper_qpos)|(right|left)_(pos|quat|gripper)")  # not the object's state
DRAWN_SIZE = 96  # pixels, where nothing else is asked for
NDIM = {"actions": 2, "states": 2, "rewards": 1, "dones": 1}


def recognises(path: Path) -> bool:
    return path.is_file() and (path.suffix in (".hdf5", ".h5") or h5py.is_hdf5(path))


class Source:
    """See `envs.demos.formats.Source`."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading, self.file = path, reading, Hdf5File(path)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self.file)
            with self.file.reading():
                data = self.file.hard("data", h5py.Group)
                self.demos = sorted((name for name in self.file.names(data) if DEMO.fullmatch(name)), key=lambda name: int(name[5:]))
                if not self.demos:
                    raise BadInput(f"{self.path}: data: holds no demonstrations (demo_<i>)")
                for one, other in itertools.pairwise(self.demos):
                    if int(one[5:]) == int(other[5:]):
                        raise BadInput(f"{self.path}: data: {one} and {other} have the same number")
                self.masks = self._masks()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.close()

    def __len__(self) -> int:
        return len(self.demos)

    def name(self, index: int) -> str:
        return self.demos[index]

    def header(self, index: int) -> dict[str, Any]:
        with self.file.reading():
            if self._is_ours(index):
                return header_of(SealedDemo(self.file, self.demos[index]))
            episode = self._foreign(index, frames=False)
        return {**episode.attrs, "success": episode.success, "instruction": episode.instruction, "steps": len(episode)}

    def episode(self, index: int) -> Episode:
        with self.file.reading():
            if self._is_ours(index):
                return episode_of(SealedDemo(self.file, self.demos[index]))
            episode = self._foreign(index, frames=not self.reading.draw)
            has_states = self.file.has(self.file.hard(f"data/{self.demos[index]}", h5py.Group), "states")
        return self._drawn(index, episode, has_states) if self.reading.draw else episode

    def _is_ours(self, index: int) -> bool:
        return "whatwhere" in self.file.hard(f"data/{self.demos[index]}", h5py.Group).attrs

    def _masks(self) -> dict[str, list[str]]:
        """{name: demos}: robomimic's filter keys."""
        if not self.file.has(self.file.file, "mask"):
            return {}
        masks = {}
        for name in self.file.names(self.file.hard("mask", h5py.Group)):
            dataset = self.file.hard(f"mask/{name}", h5py.Dataset)
            text = h5py.check_string_dtype(dataset.dtype)
            if dataset.ndim != 1 or dataset.dtype.itemsize > 64 or text is None:
                raise BadInput(f"{self.path}: mask/{name}: needs a list of names, found {dataset.dtype} {dataset.shape}")
            if len(dataset) > len(self.demos):
                raise BadInput(f"{self.path}: mask/{name}: names {len(dataset)} demonstrations, the file holds {len(self.demos)}")
            masks[name] = []
            if not len(dataset):
                continue
            self.file.check_storage(f"mask/{name}", dataset)
            with limited_memory():
                masks[name] = [value.decode() for value in dataset[:]]
        return masks

    def _foreign(self, index: int, frames: bool = True) -> Episode:
        """A demonstration that another program wrote. Raises BadInput."""
        from envs.demos.records import EnvArgs, EpisodeMeta

        name, file = self.demos[index], self.file
        file.next_demo()
        demo, where = file.hard(f"data/{name}", h5py.Group), f"{self.path}: {name}"
        actions = self._array(name, "actions", file.count(demo, "num_samples") if "num_samples" in demo.attrs else None)
        states = self._array(name, "states", len(actions)) if file.has(demo, "states") else None
        success = self._success(name, len(actions))
        known = sorted(file.names(file.hard(f"data/{name}/obs", h5py.Group))) if file.has(demo, "obs") else []
        cameras = self.reading.draw or self.reading.cameras or tuple(key.removesuffix("_image") for key in known if key.endswith("_image"))
        if not cameras:
            raise BadInput(f"{where}/obs: holds no pictures (<camera>_image); draw=[agentview] draws them from the states, with the model in the file")
        keys = self.reading.proprio or tuple(key for key in known if key == "proprio") or tuple(key for key in known if PROPRIO.fullmatch(key))
        if not keys:
            raise BadInput(f"{where}/obs: none of {', '.join(known) or 'nothing'} is known as the robot's own state; name some: proprio=[…]")
        for key in (*keys, *(() if self.reading.draw else (f"{camera}_image" for camera in cameras))):
            choose(f"{where}/obs", key, known)
        proprio = np.concatenate([self._array(name, f"obs/{key}", len(actions)).reshape(len(actions), -1) for key in keys], axis=1)
        actions, settings = self._acting(where, actions, self._json(demo.parent, "env_args", EnvArgs))
        settings |= {"cameras": list(cameras), "proprio": list(keys), "masks": [mask for mask, names in self.masks.items() if name in names]}
        settings |= {"model_file": file.text(demo, "model_file") if "model_file" in demo.attrs else ""}
        pictures = self._pictures(name, cameras, len(actions)) if frames else None
        settings |= {} if pictures is None else {"size": pictures.shape[2]}
        instruction = self.reading.instruction or self._json(demo, "ep_meta", EpisodeMeta).get("lang") or settings["task"].rpartition("/")[2].replace("_", " ")
        states = np.arange(len(actions))[:, None] / settings["control_hz"] if states is None else states.astype(np.float64)  # without: time alone, in seconds
        return Episode(_single(where, "actions", actions), states, _single(where, "obs", proprio), pictures, success, instruction, settings)

    def _acting(self, where: str, actions: np.ndarray, args: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """The actions in this package's meaning, and what is known of the environment. Raises BadInput where they mean something else."""
        said, name = said_by(args, str(self.path)), str(args.get("env_name", "unknown"))
        kwargs = args.get("env_kwargs") or {}
        task = task_of(self.reading, name)
        if not self.reading.as_is:
            said.check(str(self.path))
            if not said.has_our_units:
                actions, control = said.converted(actions, where, is_fixed=task in TASKS)
                kwargs = kwargs | {"controller_configs": control.composite()}
        settings = foreign_settings(task, (), control_hz=said.hz, versions={"robosuite": str(args.get("env_version"))})
        settings |= {"env_name": name, "env_kwargs": kwargs, "source": "robomimic", "control": said.text()}
        if problem := said.problem or out_of_range(actions):
            if not self.reading.as_is:
                raise BadInput(f"{where}: {problem}")
            settings["control_problem"] = problem
        return actions, settings

    def _success(self, name: str, steps: int) -> bool:
        """By the rewards, which a robomimic file has as it has dones: without them nobody knows. Raises BadInput."""
        for key in ("rewards", "dones"):
            if not self.file.has(self.file.hard(f"data/{name}", h5py.Group), key):
                raise BadInput(f"{self.path}: {name}/{key}: missing, so whether it succeeded is not known; robomimic.scripts.dataset_states_to_obs writes them")
        rewards, dones = self._array(name, "rewards", steps), self._array(name, "dones", steps)
        if not np.isin(dones, (0, 1)).all():
            raise BadInput(f"{self.path}: {name}/dones: needs 0 or 1, found {dones[~np.isin(dones, (0, 1))][0]}")
        return bool(rewards.max() >= 1)

    def _pictures(self, name: str, cameras: tuple[str, ...], steps: int) -> np.ndarray:
        """(t, cameras, size, size, 3)."""
        where, size = f"{self.path}: {name}", self.reading.size
        pictures = [self._array(name, f"obs/{camera}_image", steps, 4) for camera in cameras]
        check_scaled(where, steps, len(cameras), size, sum(frames.nbytes for frames in pictures))
        return np.stack(fitted(where, [scaled_to(frames, size) for frames in pictures]), axis=1)

    def _drawn(self, index: int, episode: Episode, has_states: bool) -> Episode:
        """With pictures that are drawn from the states; where that goes wrong, the file is not at fault. Raises BadInput."""
        where, model, size = f"{self.path}: {self.demos[index]}", str(episode.attrs["model_file"]), self.reading.size or DRAWN_SIZE
        assert self.reading.draw is not None
        if not has_states or not model:
            raise BadInput(f"{where}: draw={','.join(self.reading.draw)}: needs states and model_file, which it lacks")
        check_scaled(where, len(episode), len(self.reading.draw), size)
        with contextlib.closing(Drawer(model, self.reading.draw, size, f"{where}: model_file")) as drawer:
            frames = drawer.draw(episode.states)
        return replace(episode, frames=frames, attrs=episode.attrs | {"size": frames.shape[2]})

    def _array(self, demo: str, key: str, steps: int | None, ndim: int | None = None) -> np.ndarray:
        """A dataset of numbers with one row a step."""
        where, ndim = f"{self.path}: {demo}/{key}", ndim or NDIM.get(key)
        dataset = self.file.hard(f"data/{demo}/{key}", h5py.Dataset)
        if dataset.dtype.kind not in "fiub" or (ndim == 4 and dataset.dtype != np.uint8):
            raise BadInput(f"{where}: needs {'uint8' if ndim == 4 else 'numbers'}, found {dataset.dtype}")
        shape = dataset.shape or ()
        if not shape or 0 in shape or len(shape) != (ndim or len(shape)) or (ndim == 4 and shape[3] != 3):
            raise BadInput(f"{where}: needs {'(t, h, w, 3)' if ndim == 4 else f'{ndim or 2} axes'} and no empty one, found shape {shape}")
        if shape[0] != (shape[0] if steps is None else steps) or shape[0] > MAX_STEPS:
            raise BadInput(f"{where}: needs {MAX_STEPS if steps is None else steps} steps{' at most' if steps is None else ''}, found {shape[0]}")
        if num_bytes(shape, dataset.dtype) > MAX_BYTES or (ndim != 4 and num_bytes(shape[1:], np.uint8) > 4096):
            raise BadInput(f"{where}: shape {shape} is larger than any demonstration")
        self.file.check_storage(f"{demo}/{key}", dataset)
        array = self.file.values(dataset)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BadInput(f"{where}: NaN or infinite at step {int(np.argwhere(~np.isfinite(array))[0][0])}")
        return array

    def _json(self, place: h5py.Group, name: str, schema: Any) -> Any:
        return self.file.json(place, name, schema) if name in place.attrs else {}


def _single(where: str, name: str, array: np.ndarray) -> np.ndarray:
    """As float32: robomimic stores float64, of which policies see single precision anyway."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        raise BadInput(f"{where}: {name}: a number is too large for single precision")
    return single


def write(out: Path, source: AnySource, writing: Writing, content: dict[str, Any]) -> None:
    """Writes the file, whole or not at all. Raises BadInput if `out` holds anything else."""
    if out.exists():
        _check_same(out, content)
        return
    first, masks = None, {}
    with atomic(out) as temporary, Sink(temporary) as sink, h5py.File(sink, "w") as file:
        data = file.create_group("data")
        total = 0
        for index, episode in enumerate(episodes(source)):
            sink.check()
            demo = data.create_group(f"demo_{index}")
            env_args = write_demo(demo, episode, checked_arrays(Path(source.name(index)), episode), env_args=demo)
            for key, values in robot_state(str(episode.attrs.get("model_file", "")), episode.states).items():
                demo[f"obs/{key}"] = values  # by the names that robomimic's configurations ask for; not sealed, since they follow from the states
            name = json.loads(env_args)["env_name"]
            if name != (first := first or name):
                raise BadInput(f"{source.path}: {source.name(index)} is of {name}, {source.name(0)} of {first}: a robomimic file holds one environment")
            for mask in episode.attrs.get("masks") or [_part(index, writing.valid)]:
                masks.setdefault(str(mask), []).append(f"demo_{index}")
            data.attrs["env_args"] = env_args
            total += len(episode)
        data.attrs["total"] = total
        data.attrs[CLAIM] = json.dumps(content, sort_keys=True)
        for mask, names in masks.items():
            file.create_dataset(f"mask/{mask}", data=np.array(names, dtype="S"))


def _part(index: int, valid: float) -> str:
    """Demonstrations for validation lie evenly among the others."""
    return "valid" if int((index + 1) * valid + 1e-9) > int(index * valid + 1e-9) else "train"


def _check_same(out: Path, content: dict[str, Any]) -> None:
    with Hdf5File(out) as file, file.reading():
        data = file.hard("data", h5py.Group)
        if CLAIM not in data.attrs or file.json(data, CLAIM, dict[str, Any]) != json.loads(json.dumps(content)):
            raise BadInput(f"out={out}: holds other demonstrations, or was written with other settings; choose another out=")
