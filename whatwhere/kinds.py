"""What an option may be, stated once beside its name: `episodes: Annotated[int, Range(1, 100_000)]`.

Checked whenever settings are made of words (`whatwhere.settings`), and shown by `--help`.
"""

from __future__ import annotations

import os
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated

from whatwhere.errors import BadInput, choose, one_of

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes
LONGEST_DRAFT = 200  # bytes of the name of a file to write: its draft has a longer one
SYSTEM = ("/proc", "/sys", "/dev")  # nothing there is a user's, but for memory that is used as a disk
SHARED_MEMORY = "/dev/shm"


class Range:
    """A number from `least` to `most`; `above` and `below` leave the limits themselves out. `why` says where a limit comes from."""

    def __init__(self, least: float, most: float, above: bool = False, below: bool = False, why: str = "") -> None:
        self.least, self.most, self.above, self.below, self.why = least, most, above, below, why

    def check(self, key: str, value: float) -> None:
        if not (self.least <= value <= self.most) or (self.above and value == self.least) or (self.below and value == self.most):
            raise BadInput(f"{key}={value}: must be {self}{self.why and '; '}{self.why}")

    def __str__(self) -> str:
        return f"{'above' if self.above else 'at least'} {self.least}, {'below' if self.below else 'at most'} {self.most}"


class OneOf:
    """One of some words, such as the keys of a dict of extensions."""

    def __init__(self, *choices: str | Iterable[str]) -> None:
        self.choices = [word for choice in choices for word in ([choice] if isinstance(choice, str) else choice)]

    def check(self, key: str, value: str) -> None:
        choose(key, value, self.choices)

    def __str__(self) -> str:
        return one_of(self.choices)


class Text:
    """Any text of at most `most` characters; with a `pattern`, one that has this form, which `says` puts in words."""

    def __init__(self, says: str = "text", most: int = 1000, pattern: str = "") -> None:
        self.says, self.most, self.pattern = says, most, pattern

    def check(self, key: str, value: str) -> None:
        if len(value) > self.most:
            raise BadInput(f"{key}={value}: {len(value)} characters long, at most {self.most} are allowed")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise BadInput(f"{key}={value}: unknown; valid: {self.says}")

    def __str__(self) -> str:
        return self.says


class Length:
    """A list of `least` to `most` elements."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def check(self, key: str, value: Collection[object]) -> None:
        if not value and self.least == 1:
            raise BadInput(f"{key}=[]: name at least one")
        if not self.least <= len(value) <= self.most:
            raise BadInput(f"{key}=[{', '.join(map(str, value))}]: needs {self}")

    def __str__(self) -> str:
        return f"{self.least} to {self.most} elements" if self.least < self.most else f"{self.least} elements"


class Checked:
    """What `check(value, key)` does not refuse."""

    def __init__(self, by: Callable[[str, str], object], says: str) -> None:
        self.by, self.says = by, says

    def check(self, key: str, value: str) -> None:
        self.by(value, key)

    def __str__(self) -> str:
        return self.says


class Like:
    """What is said beside another type, `module:Name`, which is imported when a value is checked: so that a command that needs it late starts sooner."""

    def __init__(self, name: str, says: str) -> None:
        self.name, self.says = name, says

    def check(self, key: str, value: object) -> None:
        for kind in pkgutil.resolve_name(self.name).__metadata__:
            kind.check(key, value)

    def __str__(self) -> str:
        return self.says


class Place:
    """A path. Whether anything is there is for the command to see; that nothing could be there is seen here."""

    def __init__(self, says: str, writes: str = "") -> None:
        """`writes`: folder, file or either, where the command writes there."""
        self.says, self.writes = says, writes

    def check(self, key: str, value: str) -> None:
        if not value:
            raise BadInput(f"{key}=: names nothing; for the folder that you are in, write {key}=.")
        longest = LONGEST_DRAFT if self.writes in ("file", "either") else LONGEST_NAME
        path, name = os.fsencode(value), max(value.split("/"), key=lambda part: len(os.fsencode(part)))
        if b"\0" in path or len(path) > LONGEST_PATH or len(os.fsencode(name)) > longest:
            raise BadInput(f"{key}={value}: no path; it has at most {LONGEST_PATH} bytes, each name in it at most {longest}")
        real = Path(os.path.realpath(value))
        if any(real.is_relative_to(folder) for folder in SYSTEM) and not real.is_relative_to(SHARED_MEMORY):
            raise BadInput(f"{key}={value}: lies in the system's own {'/'.join(real.parts[:2])[1:]}; choose another place")
        if self.writes:
            self._check_writable(key, value, real)

    def _check_writable(self, key: str, value: str, real: Path) -> None:
        """Raises BadInput where something else than a folder, or for a file than a file, is in the way."""
        if self.writes == "file" and real.is_dir():
            raise BadInput(f"{key}={value}: is a folder; name a file, as in {value.rstrip('/')}/{key}")
        there = real.parent if self.writes == "file" or (real.is_file() and self.writes == "either") else real
        while not os.path.lexists(there):
            there = there.parent
        if not there.is_dir():
            raise BadInput(f"{key}={value}: {there} is no folder; choose another place")

    def __str__(self) -> str:
        return self.says


Seed = Annotated[int, Range(0, 2**31 - 1)]
Count = Annotated[int, Range(1, 10_000_000)]  # of steps, episodes, samples
Share = Annotated[float, Range(0, 1)]
Processes = Annotated[int, Range(1, 256)]
InputPath = Annotated[str, Place("a file or folder")]
OutputFolder = Annotated[str, Place("a folder", "folder")]
OutputFile = Annotated[str, Place("a file", "file")]
