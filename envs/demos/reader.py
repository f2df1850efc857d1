"""Reads one file of a demonstration; nothing in it is trusted until its digest fits."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from envs.demos.layout import check_array, check_settings, check_values, digest_of, image_name, num_bytes, seal_of
from whatwhere.errors import BadInput

MAX_TEXT = 16 << 20
MAX_DEFLATION = 1200  # no filter used here shrinks further, so a larger claimed shape is damage, not data
FILTERS = {1, 2, 3, 32000}  # gzip, shuffle, fletcher32, lzf: nothing that loads a plug-in


class Reader:
    """A file being read: nothing in it is trusted until its digest fits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        if not self.path.is_file():
            raise BadInput(f"{self.path}: {'is a folder, not an episode' if self.path.is_dir() else 'no such file'}")
        try:
            self.file = h5py.File(self.path, "r")
        except OSError as error:
            raise BadInput(f"{self.path}: not a whole HDF5 file ({short(error)})") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.file.close()
        except (OSError, RuntimeError) as late:
            error = error or late
        if isinstance(error, (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError, AttributeError)):
            raise BadInput(f"{self.path}: damaged ({short(error)})") from None  # what HDF5 says to a damaged file has many names

    def settings(self) -> dict[str, Any]:
        """All attributes, verified; sets `steps`, `sha256` and `digests` ({dataset: sha256})."""
        self.demo = self._hard("data/demo_0", h5py.Group)
        texts = {name: self._text(self.demo, name) for name in ("model_file", "ep_meta", "whatwhere")}
        texts["env_args"] = self._text(self.demo.parent, "env_args")
        settings = json.loads(texts["whatwhere"])
        if not isinstance(settings, dict):
            raise BadInput(f"{self.path}: whatwhere: needs a JSON object")
        check_settings(self.path, settings)
        if not isinstance(settings.get("success"), bool) or not isinstance(settings.get("instruction"), str):
            raise BadInput(f"{self.path}: success, instruction: missing or of a wrong type")
        names = ["actions", "states", "rewards", "dones", "obs/proprio", *map(image_name, settings["cameras"])]
        if "executed_actions" in self.demo:
            names.append("executed_actions")
        self.datasets = {name: self._hard(f"data/demo_0/{name}", h5py.Dataset) for name in names}
        self.digests = {name: self._text(dataset, "sha256") for name, dataset in self.datasets.items()}
        self.sha256 = self._text(self.demo, "sha256")
        if self.sha256 != seal_of(texts, self.digests):
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
        if digest_of(array) != self.digests[name]:
            raise BadInput(f"{self.path}: {name}: sha256 does not fit: the file is damaged")
        check_values(self.path, name, array)
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
        check_array(self.path, name, dataset.shape, dataset.dtype, self.steps)
        filters = dataset.id.get_create_plist()
        if not {filters.get_filter(i)[0] for i in range(filters.get_nfilters())} <= FILTERS:
            raise BadInput(f"{self.path}: {name}: compressed by a filter other than gzip and lzf")
        stored = dataset.id.get_storage_size()
        claimed = max(num_bytes(dataset.shape, dataset.dtype), num_bytes(dataset.chunks or (), dataset.dtype))
        if stored > self.path.stat().st_size or claimed > MAX_DEFLATION * stored:
            raise BadInput(f"{self.path}: {name}: shape {dataset.shape} does not fit the {stored} bytes stored")


def short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
