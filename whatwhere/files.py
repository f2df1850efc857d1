"""Files that survive a crash: atomic writes, rows that can be appended and resumed, one owner for a folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whatwhere.errors import BadInput
from whatwhere.look import Missing, read

_writes = itertools.count()


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed to `path`, on error removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_writes)}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def path_name(name: str) -> str:
    """`name` as a part of a path: robosuite/Lift → robosuite_Lift, my_module:MyTask → my_module_MyTask."""
    return re.sub(r"[^\w.-]+", "_", name)


def write_text(path: str | Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The value in a JSON file. Raises BadInput if it is missing (look.Missing), no regular file, or not JSON."""
    text = read(path, "JSON file")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from None


def append_row(path: str | Path, row: dict[str, Any]) -> None:
    """Adds one JSON line, synced, so that a row is either wholly there or a torn last line that `read_rows` drops."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a torn line of a killed process: start a new one
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; torn lines are dropped; none if there is no file. Raises BadInput if it is no regular file."""
    try:
        text = read(path, "file of rows").decode(errors="replace")
    except Missing:
        return []
    rows = []
    for line in text.split("\n"):  # not splitlines(): U+2028 may stand inside a text
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def owned(folder: str | Path, wait: bool = False) -> Iterator[Path]:
    """Holds `folder` for this process (advisory lock) and clears half-written files of killed ones.

    Where another process holds it: waits for that one to end, or raises BadInput.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise BadInput(f"out={folder}: cannot be written ({error.strerror})") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise BadInput(f"out={folder}: another process is writing to this folder; wait for it or choose another out=") from None
        clear_leftovers(folder)
        yield folder
    finally:
        os.close(handle)


def clear_leftovers(folder: Path) -> None:
    """Removes what killed processes of this machine left half written."""
    for leftover in folder.glob(".*.tmp"):
        writer = leftover.name.split(".")[-2].split("-")[0]
        if writer.isdigit() and not Path(f"/proc/{writer}").exists():
            leftover.unlink(missing_ok=True)


def claim(folder: str | Path, settings: dict[str, Any], name: str = "settings.json") -> None:
    """Marks `folder` as the home of `settings`, so that the same command resumes there. Raises BadInput if it holds other settings."""
    path = Path(folder) / name
    settings = json.loads(json.dumps(settings))  # tuples become lists, as they do on disk
    if not path.exists():
        write_json(path, settings)
        return
    known = read_json(path)
    if not isinstance(known, dict):
        raise BadInput(f"{path}: not the settings of a command; choose another out=")
    different = [key for key in sorted({*known, *settings}) if known.get(key) != settings.get(key)]
    if different:
        key = different[0]
        raise BadInput(f"out={folder}: holds results of other settings ({key}={known.get(key)}, now {key}={settings.get(key)}); choose another out=")
