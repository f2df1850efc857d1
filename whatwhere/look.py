"""Look before opening: only a regular file that may be read, of a size that its kind can have. A FIFO or a device would be waited for, or read, for ever."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from whatwhere.errors import BadInput, is_of_this_machine

# bytes of the largest file of each kind that is read
MOST: Mapping[str, int] = {
    "JSON file": 32 << 20,  # whatwhere.strict_json
    "text file": 64 << 20,  # Python source, Markdown, recorded input of a teleoperation
    "file of rows": 256 << 20,  # JSON lines
    "journal": 1 << 30,  # of an episode being recorded
    "picture": 1 << 30,
    "file of weights": 64 << 30,
    "table": 64 << 30,  # parquet
    "video": 1 << 40,
    "HDF5 file": 1 << 40,
    "array": 4 << 40,  # .npy, mapped into memory
    "file": 4 << 40,  # of any kind, to be hashed
}
SPARSE = 1 << 30  # bytes from which a file that is mostly a hole is refused: reading nothing takes as long as reading something
EXTENTS = 4096  # stretches of data that are counted at most
OTHERS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}


class Missing(BadInput):
    """There is no such file."""


def look(path: str | Path, kind: str) -> int:
    """The size in bytes of a regular file that can be read. `kind` is one of MOST.

    Raises BadInput for a folder, FIFO, socket or device, a link that leads nowhere or in a circle, a file that may not be read, one larger than any of its
    kind, and one that is mostly a hole; Missing if nothing is there.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path}: is {OTHERS.get(stat.S_IFMT(status.st_mode), 'no regular file')}; needs a file ({kind})")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            hole = status.st_size > SPARSE and status.st_blocks * 512 < status.st_size // 2 and 2 * _data(handle, status.st_size) < status.st_size
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise Missing(f"{path}: {'is a link to a file that is not there' if os.path.islink(path) else 'no such file'}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte or a lone surrogate
        if is_of_this_machine(error):
            raise
        raise BadInput(f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    if status.st_size > MOST[kind]:
        raise BadInput(f"{path}: {status.st_size} bytes; a {kind} of more than {MOST[kind]} is not read")
    if hole:
        raise BadInput(f"{path}: most of its {status.st_size} bytes are a hole (a sparse file): not a whole {kind}")
    return status.st_size


def read(path: str | Path, kind: str) -> bytes:
    """What `look` lets pass, whole. Raises BadInput, Missing."""
    size = look(path, kind)
    try:
        with Path(path).open("rb") as file:
            return file.read(size)  # not to its end: some files of /proc have a size of 0 and no end
    except OSError as error:
        if is_of_this_machine(error):
            raise
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _data(handle: int, size: int) -> int:
    """Bytes of an open file that are not in holes; `size` where there are too many stretches to count, or the file system does not say."""
    there, at = 0, 0
    try:
        for _ in range(EXTENTS):
            at = os.lseek(handle, at, os.SEEK_DATA)
            end = os.lseek(handle, at, os.SEEK_HOLE)
            there, at = there + end - at, end
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data from here to the end
            return there
    return size
