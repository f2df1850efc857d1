"""One demonstration of a robomimic file that another program wrote: actions, states, outcome, chosen observations, texts; nothing of it is trusted."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from envs.catalogue import TASKS
from envs.demos.embedded import Drawer
from envs.demos.episodes import Episode
from envs.demos.formats import Reading
from envs.demos.formats.foreign import UNKNOWN, foreign_settings, out_of_range, squared, task_of
from envs.demos.formats.robosuite_control import said_by
from envs.demos.hdf5 import Hdf5File
from envs.demos.layout import MAX_BYTES, MAX_STEPS, check_scaled, num_bytes
from whatwhere.errors import BadInput, choose

PROPRIO = re.compile(r"robot\d+_(\w+_)?(eef_pos|eef_quat|gripper_qpos)|(right|left)_(pos|quat|gripper)")  # not the object's state
DRAWN_SIZE = 96  # pixels, where nothing else is asked for
NDIM = {"actions": 2, "states": 2, "rewards": 1, "dones": 1}


class ForeignDemo:
    """The group `data/<name>` of an open file. `masks`: the names of robomimic's filter keys that it is in. Raises BadInput, one line, throughout."""

    def __init__(self, file: Hdf5File, name: str, reading: Reading, masks: list[str]) -> None:
        self.file, self.name, self.reading, self.masks = file, name, reading, masks
        self.path: Path = file.path
        self.where = f"{file.path}: {name}"
        self.group = file.hard(f"data/{name}", h5py.Group)
        self.has_states = file.has(self.group, "states")

    def episode(self, frames: bool = True) -> Episode:
        """All of it; without pictures if frames=False."""
        from envs.demos.records import EnvArgs, EpisodeMeta

        demo = self.group
        actions = self._array("actions", self.file.count(demo, "num_samples") if "num_samples" in demo.attrs else None)
        steps = len(actions)
        states = self._array("states", steps) if self.has_states else None
        success = self._success(steps)
        keys, cameras = self._chosen()
        proprio = np.concatenate([self._array(f"obs/{key}", steps).reshape(steps, -1) for key in keys], axis=1)
        actions, settings = self._acting(actions, self._json(demo if "env_args" in demo.attrs else demo.parent, "env_args", EnvArgs))
        settings |= {"cameras": list(cameras), "proprio": list(keys), "masks": self.masks}
        settings |= {"model_file": self.file.text(demo, "model_file") if "model_file" in demo.attrs else ""}
        pictures = None
        if frames:
            pictures, drawn = self._pictures(cameras, steps)
            settings |= {"size": pictures.shape[2], "origin": settings["origin"] | ({"drawn": list(drawn)} if drawn else {})}
        instruction = self.reading.instruction or self._json(demo, "ep_meta", EpisodeMeta).get("lang")
        if not instruction:  # the environment of the task knows it better, if there is one
            instruction, settings["instruction_is_missing"] = settings["task"].rpartition("/")[2].replace("_", " "), True
        states = np.arange(steps)[:, None] / settings["control_hz"] if states is None else states.astype(np.float64)  # without: time alone, in seconds
        return Episode(_single(self.where, "actions", actions), states, _single(self.where, "obs", proprio), pictures, success, instruction, settings)

    def _chosen(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The observations that become proprio, and the cameras."""
        known = sorted(self.file.names(self.file.hard(f"data/{self.name}/obs", h5py.Group))) if self.file.has(self.group, "obs") else []
        cameras = self.reading.draw or self.reading.cameras or tuple(key.removesuffix("_image") for key in known if key.endswith("_image"))
        if not cameras:
            raise BadInput(f"{self.where}/obs: holds no pictures (<camera>_image); draw=[agentview] draws them from the states, with the model in the file")
        keys = self.reading.proprio or tuple(key for key in known if key == "proprio") or tuple(key for key in known if PROPRIO.fullmatch(key))
        if not keys:
            raise BadInput(f"{self.where}/obs: none of {', '.join(known) or 'nothing'} is known as the robot's own state; name some: proprio=[…]")
        for key in (*keys, *(() if self.reading.draw else (f"{camera}_image" for camera in cameras))):
            choose(f"{self.where}/obs", key, known)
        return keys, cameras

    def _acting(self, actions: np.ndarray, args: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """The actions in this package's meaning, and what is known of the environment. Raises BadInput where they mean something else."""
        said, name, kwargs = said_by(args, str(self.path)), args.get("env_name", UNKNOWN), args.get("env_kwargs") or {}
        task = task_of(self.reading, name, args.get("type", 1) == 1)
        if not self.reading.as_is:
            said.check(str(self.path))
            if not said.has_our_units:
                actions, control = said.converted(actions, self.where, is_fixed=task in TASKS)
                kwargs = kwargs | {"controller_configs": control.composite()}
        settings = foreign_settings(task, (), control_hz=said.hz, versions={"robosuite": str(args.get("env_version"))})
        settings |= {"env_name": name, "env_kwargs": kwargs, "source": "robomimic", "control": said.text()}
        origin = said.origin(task)
        settings |= {"origin": {}, "no_environment": origin} if isinstance(origin, str) else {"origin": origin.as_json()}
        if self.reading.proprio:
            settings["no_environment"] = f"proprio=[{','.join(self.reading.proprio)}] was asked for, and the task's environment shows its own"
        if problem := said.problem or out_of_range(actions):
            if not self.reading.as_is:
                raise BadInput(f"{self.where}: {problem}")
            settings["control_problem"] = problem
        return actions, settings

    def _success(self, steps: int) -> bool:
        """By the rewards, which a robomimic file has as it has dones: without them nobody knows. Raises BadInput."""
        if missing := [key for key in ("rewards", "dones") if not self.file.has(self.group, key)]:
            raise BadInput(f"{self.where}/{missing[0]}: missing, so whether it succeeded is not known; robomimic.scripts.dataset_states_to_obs writes them")
        rewards, dones = self._array("rewards", steps), self._array("dones", steps)
        if not np.isin(dones, (0, 1)).all():
            raise BadInput(f"{self.where}/dones: needs 0 or 1, found {dones[~np.isin(dones, (0, 1))][0]}")
        return bool(rewards.max() >= 1)

    def _pictures(self, cameras: tuple[str, ...], steps: int) -> tuple[np.ndarray, tuple[int, int] | None]:
        """(t, cameras, size, size, 3), and their height and width in the file if they were scaled."""
        read = [self._array(f"obs/{camera}_image", steps, 4) for camera in cameras]
        last = [frames if frames.shape[3] == 3 else np.moveaxis(frames, 1, 3) for frames in read]  # some keep channels first, as torch wants them
        check_scaled(self.where, steps, len(cameras), self.reading.size, sum(frames.nbytes for frames in read))
        return squared(self.where, last, self.reading.size)

    def drawn(self, episode: Episode) -> Episode:
        """With pictures that are drawn from the states; where that goes wrong, the file is not at fault. Raises BadInput."""
        cameras, model, size = self.reading.draw, str(episode.attrs["model_file"]), self.reading.size or DRAWN_SIZE
        assert cameras is not None
        if not self.has_states or not model:
            raise BadInput(f"{self.where}: draw={','.join(cameras)}: needs states and model_file, which it lacks")
        check_scaled(self.where, len(episode), len(cameras), size)
        with contextlib.closing(Drawer(model, cameras, size, f"{self.where}: model_file")) as drawer:
            frames = drawer.draw(episode.states)
        return replace(episode, frames=frames, attrs=episode.attrs | {"size": frames.shape[2]})

    def _array(self, key: str, steps: int | None, ndim: int | None = None) -> np.ndarray:
        """A dataset of numbers with one row a step."""
        where, ndim = f"{self.where}/{key}", ndim or NDIM.get(key)
        dataset = self.file.hard(f"data/{self.name}/{key}", h5py.Dataset)
        if dataset.dtype.kind not in "fiub" or (ndim == 4 and dataset.dtype != np.uint8):
            raise BadInput(f"{where}: needs {'uint8' if ndim == 4 else 'numbers'}, found {dataset.dtype}")
        shape = dataset.shape or ()
        if not shape or 0 in shape or len(shape) != (ndim or len(shape)) or (ndim == 4 and 3 not in (shape[1], shape[3])):
            raise BadInput(f"{where}: needs {'(t, h, w, 3)' if ndim == 4 else f'{ndim or 2} axes'} and no empty one, found shape {shape}")
        if shape[0] != (shape[0] if steps is None else steps) or shape[0] > MAX_STEPS:
            raise BadInput(f"{where}: needs {MAX_STEPS if steps is None else steps} steps{' at most' if steps is None else ''}, found {shape[0]}")
        if num_bytes(shape, dataset.dtype) > MAX_BYTES or (ndim != 4 and num_bytes(shape[1:], np.uint8) > 4096):
            raise BadInput(f"{where}: shape {shape} is larger than any demonstration")
        self.file.check_storage(f"{self.name}/{key}", dataset)
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
