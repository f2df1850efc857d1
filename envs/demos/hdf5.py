"""An HDF5 file of anybody's, read without trust: only its own bytes, and no more memory than those bytes can honestly fill."""

from __future__ import annotations

import mmap
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from envs.demos.layout import LIKELY_DEFLATION, SMALL, num_bytes
from whatwhere.disk import HELD
from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.look import look
from whatwhere.strict_json import parse

MAX_TEXT, MAX_NAMES = 16 << 20, 100_000  # bytes; things in a group
FILTERS = {1, 2, 3, 32000}  # gzip, shuffle, fletcher32, lzf: nothing that loads a plug-in
HEAP = b"GCOL\x01\0\0\0"  # how a global heap begins: signature, version
MAX_DEFLATION = 1200  # no filter used here shrinks further, so a larger claimed shape is damage, not data
FAULTS = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError, AttributeError)  # what HDF5 says to a damaged file


class Hdf5File:
    """`path` opened for reading; a context manager. What is done with it belongs into `reading()`. Raises BadInput, one line that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next_demo()

    def __enter__(self) -> Self:
        look(self.path, "HDF5 file")
        try:
            check_heaps(self.path)
            self.file = _opened(self.path)
        except FAULTS as error:
            if is_of_this_machine(error):
                raise
            raise BadInput(f"{self.path}: not a whole HDF5 file ({short(error)})") from None
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, RuntimeError):  # of a file that is only read nothing is lost
            self.file.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it, what HDF5 stumbles over is the file's damage, BadInput, so nothing else is to be done there. What ails the machine stays what it is."""
        try:
            yield
        except FAULTS as error:
            if is_of_this_machine(error):
                raise
            raise BadInput(f"{self.path}: damaged ({short(error)})") from None

    def has(self, place: h5py.Group, name: str) -> bool:
        """Whether a group has a link of that name. `name in group` would follow it, and open the other file of an external one."""
        return place.id.links.exists(name.encode())

    def names(self, place: h5py.Group) -> list[str]:
        """The names in a group, in HDF5's order; none is followed."""
        if len(place) > MAX_NAMES:
            raise BadInput(f"{self.path}: {place.name}: holds {len(place)} things, more than any demonstration")
        return list(place)

    def hard(self, name: str, kind: type) -> Any:
        """The object at `name`, reached by hard links only: a soft or external link would read another place or file."""
        place: Any = self.file
        for part in name.split("/"):
            if not isinstance(place, h5py.Group) or not self.has(place, part):
                raise BadInput(f"{self.path}: {name}: missing; not a demonstration of this package")
            if place.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise BadInput(f"{self.path}: {name}: is a link to elsewhere; only data in the file itself are read")
            place = place[part]
        if not isinstance(place, kind):
            raise BadInput(f"{self.path}: {name}: needs a {kind.__name__.lower()}")
        if isinstance(place, h5py.Dataset) and (place.is_virtual or place.external):  # before its shape is asked for
            raise BadInput(f"{self.path}: {name}: its values lie in another file; only data in the file itself are read")
        return place

    def text(self, place: Any, name: str) -> str:
        """A text attribute."""
        if name not in place.attrs:
            raise BadInput(f"{self.path}: attribute {name} of {place.name}: missing; not a demonstration of this package")
        attribute = place.attrs.get_id(name)
        if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None or attribute.get_storage_size() > MAX_TEXT:
            raise BadInput(f"{self.path}: attribute {name} of {place.name}: needs a text")
        with limited_memory():
            text = place.attrs[name]
        text = text.decode() if isinstance(text, bytes) else str(text)
        text.encode()  # h5py lets bytes that are no text pass as lone surrogates
        return text

    def json(self, place: Any, name: str, schema: Any) -> Any:
        """The value of a text attribute that holds JSON, as `schema` wants it."""
        from whatwhere.schema import checked

        where = f"{self.path}: attribute {name} of {place.name}"
        return checked(parse(self.text(place, name), where), schema, where)

    def count(self, place: Any, name: str) -> int:
        """A whole number among the attributes."""
        attribute = place.attrs.get_id(name)
        if attribute.shape not in ((), (1,)) or attribute.dtype.kind not in "iu":
            raise BadInput(f"{self.path}: attribute {name} of {place.name}: needs a whole number, found {attribute.dtype} {attribute.shape}")
        return int(np.ravel(place.attrs[name])[0])

    def check_storage(self, name: str, dataset: h5py.Dataset) -> None:
        """How the bytes lie there, before memory is taken for them."""
        filters = dataset.id.get_create_plist()
        if not {filters.get_filter(i)[0] for i in range(filters.get_nfilters())} <= FILTERS:
            raise BadInput(f"{self.path}: {name}: compressed by a filter other than gzip and lzf")
        stored = dataset.id.get_storage_size()
        claimed = max(num_bytes(dataset.shape, dataset.dtype), num_bytes(dataset.chunks or (), dataset.dtype))
        if stored > self.path.stat().st_size or claimed > max(min(MAX_DEFLATION * stored, SMALL), LIKELY_DEFLATION * stored):
            raise BadInput(f"{self.path}: {name}: shape {dataset.shape} does not fit the {stored} bytes stored")
        self.claimed, self.stored = self.claimed + claimed, self.stored + stored
        if self.claimed > max(SMALL, LIKELY_DEFLATION * self.stored):  # many that are small each
            raise BadInput(f"{self.path}: {name}: with it the demonstration unpacks to {self.claimed} bytes from {self.stored}")

    def next_demo(self) -> None:
        """What is claimed from here on is in memory together."""
        self.claimed, self.stored = 0, 0

    def values(self, dataset: h5py.Dataset) -> np.ndarray:
        """All of a dataset that `check_storage` has let pass."""
        array = np.empty(dataset.shape, dataset.dtype)
        dataset.read_direct(array)
        return array


def _opened(path: Path) -> h5py.File:
    """The file under a lock against those who write it; without one where the file system has none. Raises BadInput if another program has it."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "unable to lock" not in str(error) and "open for write" not in str(error):
            raise
        if error.errno in HELD or error.errno is None:
            hint = "another program has it open for writing, or was ended before it had closed it"
            raise BadInput(f"{path}: {hint} ({short(error)}); try again when that is done") from None
    return h5py.File(path.open("rb"), "r")  # not by locking=False, which HDF5_USE_FILE_LOCKING overrules


def check_heaps(path: Path) -> None:
    """Walks the global heaps, where texts of free length lie: HDF5 2.0 does the same without end if the free space in one says it has no size.

    Raises BadInput. https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (III.E)
    """
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(HEAP)
        while start >= 0:
            end, at = start + int.from_bytes(content[start + 8 : start + 16], "little"), start + 16
            while at + 16 <= end <= len(content):
                index, size = int.from_bytes(content[at : at + 2], "little"), int.from_bytes(content[at + 8 : at + 16], "little")
                if index == 0 and size == 0:
                    raise BadInput(f"{path}: damaged (a heap of texts has free space of no size)")
                at += size if index == 0 else 16 + (size + 7) // 8 * 8
            start = content.find(HEAP, start + 1)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Meanwhile no more memory than for the longest text: of one of free length HDF5 believes any length before it has seen a byte of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = now + 8 * MAX_TEXT
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def short(error: BaseException) -> str:
    """What an error says, on one line; whole, unless it is longer than anything that a library says by itself."""
    return " ".join(str(error).split())[:600] or type(error).__name__
