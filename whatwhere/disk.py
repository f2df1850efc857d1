"""What file systems refuse: steps that make writing durable or exclusive, without which the work goes on; and writing itself, without which it cannot."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from whatwhere.errors import BadInput

HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # by another process; whatever else flock says: there are no locks here
LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EBADF)  # data did not reach the disk; whatever else fsync says: there is no such thing here
FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_RENAME = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)
NO_LINKS = (*NO_RENAME, errno.EPERM, errno.EACCES, errno.EMLINK)
NO_ROOM_KEPT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV, errno.EPERM)  # no such thing as room that is kept
ZEROS = bytes(1 << 20)


class Held(Exception):
    """Another process has the lock."""


def lock(handle: int, wait: bool = False) -> str | None:
    """Takes the advisory lock of an open file; returns why there is none, on a file system without locks. Raises Held."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in HELD:
            raise Held from None
        return error.strerror or str(error)
    return None


def sync(handle: int) -> None:
    """Waits until an open file is on the disk, where the file system can say so. Raises OSError if it did not get there."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in LOST:
            raise


def sync_path(path: Path) -> None:
    """The same of a file or folder by its name; a folder that may not be read is not synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        sync(handle)
    finally:
        os.close(handle)


def replace(source: Path, target: Path) -> None:
    """Renames a file (a folder, where there is none of that name yet); copies it on a file system that cannot rename."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno not in NO_RENAME or source.is_dir():
            raise
        shutil.copyfile(source, target)
        source.unlink()


def settle(source: Path, target: Path) -> None:
    """Gives a file its name, unless a file has it: one that others read is not taken from under them, which on a share (NFS) breaks their memory maps."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        replace(source, target)  # no links here


def reserve(handle: int, size: int) -> None:
    """Makes an open file `size` bytes long, and room on the disk for all of them. Raises OSError (no space left) at once, before hours of work."""
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        if error.errno not in NO_ROOM_KEPT:
            raise
        start = os.fstat(handle).st_size
        while start < size:
            start += os.pwrite(handle, ZEROS[: size - start], start)


def why_not_writable(folder: str | Path) -> str | None:
    """Why nothing can be written in a folder, which need not be there yet; None if it can. Raises OSError if the disk is full."""
    place = Path(folder).absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        if error.errno in FULL:
            raise
        return error.strerror or str(error)


def check_writable(option: str, folder: str | Path) -> None:
    """Raises BadInput if nothing can be written in a folder, which need not be there yet; `option` is what names it on the command line."""
    if (reason := why_not_writable(folder)) is not None:
        raise BadInput(f"{option}={folder}: cannot be written ({reason}); choose another {option}=")
