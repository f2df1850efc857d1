"""Files that survive a crash: atomic writes, rows that can be appended and resumed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whatwhere.disk import FULL, replace, settle, sync, sync_path
from whatwhere.errors import BadInput, shown
from whatwhere.look import Missing, look, read
from whatwhere.strict_json import Malformed, parse

_writes = itertools.count()
_cleared: set[Path] = set()  # folders without leftovers of killed processes: looked at once a process
_host = re.sub(r"\W", "_", os.uname().nodename)[:32]
MAX_ROW = 1 << 20  # bytes
LEFTOVER = re.compile(r"\..+\.(?:(\w+)-)?(\d+)-\d+\.tmp|\..+\.(\d+)\.tmp")  # machine (in earlier versions none), process


@contextlib.contextmanager
def atomic(path: str | Path, folder: bool = False, keep: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed to `path`, on error removed.

    With `folder` it is an empty folder, and `path` must be an empty one or not be there. With `keep` a file that another process has given this name
    meanwhile stays: the same is in it. What a killed process left half written beside `path` goes.
    """
    path = Path(path)
    temporary = draft(path)
    try:
        if folder:
            temporary.mkdir()
        yield temporary
        put(temporary, path, keep)
    except OSError as error:
        _name(error, path, temporary)
        raise
    finally:
        remove(temporary)


@contextlib.contextmanager
def scratch(folder: str | Path) -> Iterator[Path]:
    """Yields an empty folder in `folder` for what is not to be kept; that of a killed process goes when `folder` is written again."""
    place = draft(Path(folder) / "scratch")
    place.mkdir()
    try:
        yield place
    finally:
        remove(place)


def draft(path: Path) -> Path:
    """A name beside `path` for what will be `path` when it is whole (`put`); its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if (place := path.parent.absolute()) not in _cleared:
        clear_leftovers(place, any_version=False)  # it may be anybody's folder
        _cleared.add(place)
    name = path.name.encode(errors="surrogateescape")[:100].decode(errors="ignore")  # a name may have 255 bytes
    return path.with_name(f".{name}.{_host}-{os.getpid()}-{next(_writes)}.tmp")


def put(temporary: Path, path: Path, keep: bool = False) -> None:
    """Syncs what is whole, a file or a folder of files, and gives it its name; with `keep` unless a file has that name.

    Who may read it is what the umask says: some libraries write files that nobody else in a lab could read.
    """
    allowed = 0o666 & ~_umask()
    for inside in [*(temporary.rglob("*") if temporary.is_dir() else ()), temporary]:
        if inside.is_file() and not inside.is_symlink() and inside.stat().st_mode & allowed != allowed:
            with contextlib.suppress(OSError):  # a file system that knows no such rights
                inside.chmod(inside.stat().st_mode | allowed)
        sync_path(inside)
    (settle if keep else replace)(temporary, path)
    sync_path(path.parent)


def _umask() -> int:
    """Read without setting it, which another thread would notice."""
    told = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(told[1], 8) if told else 0o077


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it; nothing if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear_leftovers(folder: Path, any_version: bool = True) -> None:
    """Removes what killed processes of this machine left half written; those of earlier versions did not name their machine."""
    for leftover in folder.glob(".*.tmp"):
        found = LEFTOVER.fullmatch(leftover.name)
        if found and found[1] in ((None, _host) if any_version else (_host,)) and not Path(f"/proc/{found[2] or found[3]}").exists():
            with contextlib.suppress(OSError):  # one that may not be removed is in nobody's way
                remove(leftover)


def _name(error: OSError, path: Path, temporary: Path | None = None) -> None:
    """Lets `error` say that it was met in writing `path`, where it names nothing (as when a disk is full) or a temporary name."""
    if error.filename == str(temporary) or (error.filename is None and error.errno in FULL):
        error.filename = str(path)


def path_name(name: str) -> str:
    """`name` as a part of a path: robosuite/Lift → robosuite_Lift, my_module:MyTask → my_module_MyTask; never the folder above."""
    part = re.sub(r"[^\w.-]+", "_", name)
    return part if part.strip(".") else part.replace(".", "_")


def inside(folder: str | Path, name: str | Path) -> Path:
    """`folder / name`, a path that stands in data: raises BadInput if it leads out of the folder, by `..`, from the root or by a link."""
    path = Path(folder) / name
    if "\0" in str(name) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise BadInput(f"{folder}: names {shown(str(name))}, which leads out of that folder; only what lies in it is read")
    return path


def write_text(path: str | Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path, schema: Any = None) -> Any:
    """The value in a JSON file, as `schema` (whatwhere.schema) wants it. Raises BadInput if it is missing (look.Missing), no regular file, or anything else."""
    value = parse(read(path, "JSON file"), str(path))
    return value if schema is None else _checked(value, schema, str(path))


def _checked(value: Any, schema: Any, where: str) -> Any:
    from whatwhere.schema import checked  # whoever has a schema has imported it

    return checked(value, schema, where)


def append_row(path: str | Path, row: dict[str, Any]) -> None:
    """Adds one JSON line, synced, so that a row is either wholly there or a torn last line that `read_rows` drops.

    Raises OSError (no space left) if it is not there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    try:
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a torn line of a killed process: start a new one
                    line = b"\n" + line
            file.write(line)
            file.flush()
            sync(file.fileno())
    except OSError as error:
        _name(error, path)
        raise


def read_rows(path: str | Path, schema: Any = None) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, each as `schema` wants it; torn lines are dropped; none if there is no file.

    Raises BadInput if it is no regular file, or a line is whole and no such row.
    """
    try:
        lines = read(path, "file of rows").split(b"\n")
    except Missing:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > MAX_ROW:
            raise BadInput(f"{path}, line {number}: {len(line)} bytes; a row has at most {MAX_ROW}")
        try:
            row = parse(line, f"{path}, line {number}")
        except Malformed as error:
            if not error.cut_off:
                raise
            continue
        if not isinstance(row, dict):
            raise BadInput(f"{path}, line {number}: needs an object, found {shown(row)}")
        rows.append(row if schema is None else _checked(row, schema, f"{path}, line {number}"))
    return rows


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes. Raises BadInput if it is no regular file."""
    look(path, "file")
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
