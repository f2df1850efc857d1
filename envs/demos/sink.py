"""What HDF5 files are written to: a file that never fails HDF5, which ends the process (signal 11) when a disk is full and it comes to closing."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Sink(io.RawIOBase):
    """A new file for `h5py.File(sink, "w")`; a context manager.

    After a write that failed it keeps what comes in memory, so that HDF5 can be closed in order. `check`, to be asked often enough for that to be little,
    and the end of the `with` raise OSError with what the disk said.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._failed = path.open("wb+", buffering=0), None
        self._at, self._end, self._kept = 0, 0, list[tuple[int, bytes]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        if self._failed is not None:
            raise self._failed

    # ---- what h5py asks of a file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, data: bytes | memoryview) -> int:
        left, at = memoryview(data).cast("B"), self._at
        self._at += len(left)
        self._end = max(self._end, self._at)
        try:
            while left and self._failed is None:
                written = os.pwrite(self._file.fileno(), left, at)
                left, at = left[written:], at + written
        except OSError as error:
            self._failed = error
        if left:
            self._kept.append((at, bytes(left)))
        return len(data)

    def readinto(self, into: memoryview) -> int:
        """What was written there, zeros where nothing was; h5py asks for no more than there is."""
        view = memoryview(into).cast("B")
        view[:] = os.pread(self._file.fileno(), len(view), self._at).ljust(len(view), b"\0")
        for start, data in self._kept:
            first, last = max(start, self._at), min(start + len(data), self._at + len(view))
            if first < last:
                view[first - self._at : last - self._at] = data[first - start : last - start]
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        self._end = size
        try:
            os.ftruncate(self._file.fileno(), size)
        except OSError as error:
            self._failed = self._failed or error
        return size

    def flush(self) -> None:
        """Nothing is held back."""
