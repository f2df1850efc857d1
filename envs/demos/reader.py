"""Reads one demonstration of an HDF5 file that this package wrote; nothing in it is trusted until its digest fits."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from envs.demos.hdf5 import Hdf5File
from envs.demos.layout import check_array, check_values, digest_of, image_name, seal_of
from whatwhere.errors import BadInput


class SealedDemo:
    """The group `data/<name>` of an open file, with our attributes and seals.

    settings: all its attributes, verified. steps, sha256 (of all content), digests ({dataset: sha256}). Raises BadInput.
    """

    def __init__(self, file: Hdf5File, name: str = "demo_0") -> None:
        from envs.demos.records import Sealed, check_cameras  # where a file is read, not where a command starts

        self.file, self.path = file, file.path
        demo = file.hard(f"data/{name}", h5py.Group)
        texts = {key: file.text(demo, key) for key in ("model_file", "ep_meta", "whatwhere")}
        texts["env_args"] = file.text(demo if "env_args" in demo.attrs else demo.parent, "env_args")
        settings: dict[str, Any] = file.json(demo, "whatwhere", Sealed)
        check_cameras(settings, str(self.path))
        names = ["actions", "states", "rewards", "dones", "obs/proprio", *map(image_name, settings["cameras"])]
        if file.has(demo, "executed_actions"):
            names.append("executed_actions")
        self.datasets = {key: file.hard(f"data/{name}/{key}", h5py.Dataset) for key in names}
        self.digests = {key: file.text(dataset, "sha256") for key, dataset in self.datasets.items()}
        self.sha256 = file.text(demo, "sha256")
        if self.sha256 != seal_of(texts, self.digests):
            raise BadInput(f"{self.path}: sha256 of the settings does not match: the file was damaged or edited")
        self.steps = file.count(demo, "num_samples")
        file.next_demo()
        for key, dataset in self.datasets.items():
            check_array(self.path, key, dataset.shape, dataset.dtype, self.steps)
            file.check_storage(key, dataset)
        self.settings = {**settings, "model_file": texts["model_file"]}

    def array(self, name: str) -> np.ndarray:
        """The values of a dataset, verified."""
        array = self.file.values(self.datasets[name])
        if digest_of(array) != self.digests[name]:
            raise BadInput(f"{self.path}: {name}: sha256 does not match: the file is damaged")
        check_values(self.path, name, array)
        return array
