"""What an episode has so far, on disk before its next step is taken: whatever ends the process, `read` gives back all but a torn last line.

A text file: a line that says which start is recorded, then a line a step (`Recording.row`), each with a checksum of its own. Pictures are not in it, since
they can be drawn again from the states.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any
from zlib import crc32

from envs.demos.layout import MAX_STEPS
from whatwhere.disk import sync
from whatwhere.errors import BadInput
from whatwhere.files import atomic
from whatwhere.look import Missing, look
from whatwhere.strict_json import parse

SYNC_S = 0.5  # a process that is killed loses nothing that was written; a machine that loses its power loses at most what is not synced
MAX_LINE = 1 << 20


class Journal:
    """Appends rows to `path`; a write that fails leaves whole lines only, so that it can be tried again."""

    def __init__(self, path: Path, header: dict[str, Any], rows: list[dict[str, Any]] | None = None) -> None:
        """Begins a new journal, with `rows` that were recovered from an old one. Raises OSError, and then an old one is still there."""
        self.path, self._size, self._unsynced = path, 0, list[bytes]()
        self._dirty, self._closed = threading.Event(), threading.Event()
        self._lost: OSError | None = None  # why what was written is not on the disk
        self._is_torn = False
        with atomic(path) as new:
            self._file = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
            try:
                for row in (header, *(rows or ())):
                    self._write(_line(row))
            finally:
                os.close(self._file)
        self._file = os.open(path, os.O_WRONLY)
        os.lseek(self._file, self._size, os.SEEK_SET)
        self._syncer = threading.Thread(target=self._sync, daemon=True)
        self._syncer.start()

    def add(self, row: dict[str, Any]) -> None:
        """Appends one row. Raises OSError (no space left) if it could not be written whole, or if what was written before did not reach the disk."""
        if self._lost is not None:
            error, self._lost, self._is_torn = self._lost, None, True
            raise error
        if self._is_torn:
            self._write_again()
        line = _line(row)
        self._write(line)
        self._unsynced.append(line)
        self._dirty.set()

    def close(self) -> None:
        """Leaves the file where it is."""
        if not self._closed.is_set():
            self._closed.set()
            self._dirty.set()
            self._syncer.join()
            os.close(self._file)

    def remove(self) -> None:
        """The episode is safe elsewhere, or given up."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += written

    def _write_again(self) -> None:
        """Everything since the last time that the disk had it all: of a disk that says that it lost something, nobody knows what."""
        lines = list(self._unsynced)
        self._size -= sum(map(len, lines))
        os.lseek(self._file, self._size, os.SEEK_SET)
        self._write(b"".join(lines))
        self._is_torn = False
        self._dirty.set()

    def _sync(self) -> None:
        """Beside the control loop, which must not wait for the disk."""
        while self._dirty.wait():
            self._dirty.clear()
            count = len(self._unsynced)
            try:
                sync(self._file)
                del self._unsynced[:count]
            except OSError as error:  # told when the next line is to be written
                self._lost = error
            if self._closed.wait(SYNC_S):
                return


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(row, allow_nan=False).encode()
    return b"%08x %s\n" % (crc32(text), text)


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Header and rows up to the first line that is not whole; None if there is no journal or not even its header is. Raises BadInput if it is no file."""
    lines = []
    try:
        look(path, "journal")
    except Missing:
        return None
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE):
            value = _parsed(line)
            if value is None:
                break
            lines.append(value)
            if len(lines) > MAX_STEPS + 1:
                raise BadInput(f"{path}: more than {MAX_STEPS} steps, as no episode has; move it away")
    return (lines[0], lines[1:]) if lines else None


def _parsed(line: bytes) -> dict[str, Any] | None:
    checksum, space, text = line.partition(b" ")
    if not (space and text.endswith(b"\n")) or checksum != b"%08x" % crc32(text[:-1]):
        return None
    value = parse(text, "journal")
    return value if isinstance(value, dict) else None
