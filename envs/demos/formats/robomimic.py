"""robomimic's HDF5: one file, `data/demo_<i>`, `mask/<name>`, `env_args`. https://robomimic.github.io/docs/datasets/overview.html

Each `data/demo_<i>` written here is what `envs.demos.episodes` describes, with seals, so our own come back bit by bit; beside it the robot's state by
robosuite's names (`robot_state`). Others' files are read by `robomimic_foreign`. The model's XML is carried as a text.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from envs.demos.episodes import Episode, checked_arrays, episode_of, header_of, write_demo
from envs.demos.formats import Reading, Writing, episodes
from envs.demos.formats import Source as AnySource
from envs.demos.formats.robomimic_foreign import ForeignDemo
from envs.demos.formats.robot_state import robot_state
from envs.demos.hdf5 import Hdf5File, limited_memory
from envs.demos.reader import SealedDemo
from envs.demos.sink import Sink
from whatwhere.errors import BadInput
from whatwhere.files import atomic

DEMO = re.compile(r"demo_([0-9]+)")
CLAIM = "whatwhere_converted"  # attribute of `data`: what the file was made of


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
            episode = self._foreign(index).episode(frames=False)
        return {**episode.attrs, "success": episode.success, "instruction": episode.instruction, "steps": len(episode)}

    def episode(self, index: int) -> Episode:
        with self.file.reading():
            if self._is_ours(index):
                return episode_of(SealedDemo(self.file, self.demos[index]))
            demo = self._foreign(index)
            episode = demo.episode(frames=not self.reading.draw)
        return demo.drawn(episode) if self.reading.draw else episode

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

    def _foreign(self, index: int) -> ForeignDemo:
        name = self.demos[index]
        self.file.next_demo()
        return ForeignDemo(self.file, name, self.reading, [mask for mask, names in self.masks.items() if name in names])


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
