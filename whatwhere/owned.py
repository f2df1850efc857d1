"""The folder of a command's `out=`: one process at a time writes to it, and its record says what it holds."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whatwhere.disk import FULL, READ_ONLY, Held, check_writable, lock
from whatwhere.errors import BadInput, shown
from whatwhere.files import clear_leftovers, read_json, write_json

RECORDS = ("settings.json", "training.json")  # what is in a folder, and the settings it was made with; the second is of folders of policies
_said: set[str] = set()


@contextlib.contextmanager
def owned(folder: str | Path, wait: bool = False, option: str = "out") -> Iterator[Path]:
    """Holds `folder`, which `option` named, for this process (advisory lock) and clears half-written files of killed ones.

    Where another process holds it: waits for that one to end, or raises BadInput. A folder that is there and cannot be written is nobody's to hold, and what
    is complete in it can be used: whoever finds more to do asks `check_writable`. On a file system without locks the work goes on without one.
    """
    folder = Path(folder)
    handle = None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = _open_lock(folder / ".lock")
        except OSError as error:
            if error.errno in FULL:
                raise
            raise BadInput(f"{option}={folder}: cannot be written ({error.strerror}); choose another {option}=") from None
        if handle is not None:
            try:
                if (reason := lock(handle, wait)) is not None:
                    _say_once(f"{option}={folder}: its file system has no locks ({reason}); let only one command at a time write there")
            except Held:
                raise BadInput(f"{option}={folder}: another process is writing to this folder; wait for it or choose another {option}=") from None
            clear_leftovers(folder)
        yield folder
    finally:
        if handle is not None:
            os.close(handle)


def _open_lock(path: Path) -> int | None:
    """A file to lock; None where there is none and none can be made."""
    for flags in (os.O_CREAT | os.O_RDWR, os.O_RDONLY):
        try:
            return os.open(path, flags, 0o644)
        except OSError as error:
            if error.errno not in (*READ_ONLY, errno.ENOENT):
                raise
    return None


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(f"note: {line}", file=sys.stderr, flush=True)


def claim(folder: str | Path, settings: dict[str, Any], name: str = RECORDS[0]) -> None:
    """Marks `folder` as the home of files made with `settings`, so that the same command resumes there.

    `settings["kind"]` says what the command writes; no two commands have the same. Raises BadInput if the folder holds another kind, or one of other settings.
    """
    settings = json.loads(json.dumps(settings))  # tuples become lists, as they do on disk
    there = next((record for record in (name, *RECORDS) if (Path(folder) / record).exists()), None)
    known = {} if there is None else _read(Path(folder) / there)
    if known.get("kind", settings["kind"]) != settings["kind"]:
        raise BadInput(f"out={folder}: holds what another command wrote ({shown(known['kind'])}); choose another out=")
    if there != name:
        check_writable("out", folder)
        write_json(Path(folder) / name, settings)
        return
    keys = {*known, *settings} - {"kind"}
    different = [key for key in sorted(keys) if known.get(key) != settings.get(key)]
    if different and "kind" not in known and 2 * len(keys & known.keys() & settings.keys()) < len(keys):  # not every command of earlier versions said
        raise BadInput(f"out={folder}: holds what another command wrote; choose another out=")
    if different:
        key = different[0]
        before, now = (shown(values.get(key)) for values in (known, settings))
        raise BadInput(f"out={folder}: holds results of other settings ({key}={before}, now {key}={now}); choose another out=")


def _read(path: Path) -> dict[str, Any]:
    known = read_json(path)
    if not isinstance(known, dict):
        raise BadInput(f"{path}: not the settings of a command; choose another out=")
    return known
