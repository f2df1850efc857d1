"""Arrays on disk (.npy) that are filled part by part: by plain writes, since a full disk ends a process that writes to a memory map without a word (SIGBUS)."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from whatwhere.disk import reserve, sync
from whatwhere.errors import BadInput
from whatwhere.files import atomic

AT_ONCE = 1 << 24  # bytes


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Several arrays in one .npz file, whole or not at all. Packed in memory: a ZipFile that fails on a full disk fails again when it is thrown away."""
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    with atomic(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


class ArrayFile:
    """A .npy file of a given shape, C order; a context manager. Room for all of it is taken when it is made.

    Raises OSError (no space left), naming the file. Read it with `np.load(path, mmap_mode="r")` when it is closed.
    """

    def __init__(self, path: str | Path, shape: Sequence[int], dtype: DTypeLike, keep: bool = False) -> None:
        """Makes the file, of zeros, or with `keep` goes on with one that is there. Raises BadInput if that is another array."""
        self.path, self.shape, self.dtype = Path(path), tuple(shape), np.dtype(dtype)
        self._file = self.path.open("rb+" if keep else "wb+", buffering=0)
        try:
            if not keep:
                header = {"shape": self.shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(self.dtype)}
                np.lib.format.write_array_header_1_0(self._file, header)
                self._file.seek(0)
            self._start = self._header()
            reserve(self._file.fileno(), self._start + math.prod(self.shape) * self.dtype.itemsize)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                self._name(error)
            raise

    def _header(self) -> int:
        """Where the values begin."""
        try:
            np.lib.format.read_magic(self._file)
            found = np.lib.format.read_array_header_1_0(self._file)
        except ValueError:
            found = None
        if found != (self.shape, False, self.dtype):
            raise BadInput(f"{self.path}: not the array that was begun here; remove it to begin again")
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            if kind is None:
                self.sync()
        finally:
            self._file.close()

    def write(self, place: Sequence[int], values: np.ndarray) -> None:
        """`array[place] = values` and, where `values` has an axis more than that, the places after it: (3,) with two rows writes rows 3 and 4."""
        rest = self.shape[len(place) :]
        assert values.shape in (rest, (len(values), *rest)), (self.path, values.shape, self.shape)
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(place))]
        first = sum(index * stride for index, stride in zip(place, strides, strict=True))
        assert 0 <= first and first + values.size <= math.prod(self.shape), (self.path, place, values.shape, self.shape)
        left = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data
        at = self._start + first * self.dtype.itemsize
        try:
            while left:
                written = os.pwrite(self._file.fileno(), left[:AT_ONCE], at)
                left, at = left[written:], at + written
        except OSError as error:
            self._name(error)
            raise

    def sync(self) -> None:
        """Waits until what was written is on the disk."""
        sync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def fill(self, value: float) -> None:
        """Sets all of it."""
        row = np.full(self.shape[1:], value, self.dtype)
        for index in range(self.shape[0]):
            self.write((index,), row)

    def _name(self, error: OSError) -> None:
        error.filename = error.filename or str(self.path)
