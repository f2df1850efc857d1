"""Bad input: one clear line and exit code 2."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence

LONGEST_SHOWN, LONGEST_LINE = 120, 1500  # characters of a value, and of a message, that are shown
# What an OSError says of this machine, not of the file that was being read or written
OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ESTALE)


class BadInput(Exception):
    """A mistake in what the user gave: says what, where, what was found and what is valid, in one line."""


class Failed(Exception):
    """The work itself failed, through no fault of what was given: says why in one line; exit code 1."""


def is_of_this_machine(error: BaseException) -> bool:
    """Whether an error tells of a full disk, too many open files and the like: then no file is at fault, and no file is to be blamed."""
    return getattr(error, "errno", None) in OF_THIS_MACHINE


def outside(error: OSError) -> str | None:
    """One line for an error of the world (a full disk, a folder that may not be written); None for one that only a fault of the code explains."""
    if error.filename is None and error.errno not in (*OF_THIS_MACHINE, errno.ENOMEM):
        return None
    place = "" if error.filename is None else f"{error.filename}: "
    full = "; what is finished is kept: make room and give the same command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    reason = str(error) if error.errno is None else os.strerror(error.errno)  # the system's own words: a library may add a page of its own
    return f"{place}{reason}{full}"


def out_of_memory(error: BaseException) -> str | None:
    """One line for an error that says that memory is used up, of whatever library; None for another error."""
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)):
        return f"not enough memory{text and ': '}{text.partition(chr(10))[0][:200]}; take less at once: a smaller batch or size, fewer processes"
    return None


def shown(value: object, most: int = 80) -> str:
    """What was found, as a message shows it: short, on one line, and printable whatever it is."""
    try:
        text = repr(value)  # of a text, what cannot be printed comes as \\n or \\ud800
    except (RecursionError, ValueError):  # nested without end; a whole number of more digits than Python writes out
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 1]}…"


@contextlib.contextmanager
def about(where: str) -> Iterator[None]:
    """Within it, a BadInput begins with `where`, the file and the part of it that a check does not know."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def choose(field: str, name: str, valid: Iterable[str]) -> str:
    """`name` itself if it is one of `valid`; otherwise BadInput naming `field`, the choices and the nearest one."""
    choices = list(valid)
    if name in choices:
        return name
    raise BadInput(f"{field}={str(name) if len(str(name)) <= 80 else shown(name)}: unknown; valid: {', '.join(choices)}{did_you_mean(str(name), choices)}")


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:LONGEST_SHOWN], list(choices), n=1, cutoff=0.4)
    return f" (did you mean {near[0]}?)" if near else ""


def positive(field: str, value: float, least: float = 1) -> None:
    """Raises BadInput unless `value` is a finite number ≥ `least`."""
    if not (value >= least and value < float("inf")):
        raise BadInput(f"{field}={value}: must be at least {least}")


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join([", ".join(words[:-1]), *words[-1:]] if len(words) > 1 else words)


def one_line(message: str, given: Iterable[str] = ()) -> str:
    """A message on one line that a terminal can show: long values among the words `given`, and other long words, cut in the middle."""
    values = {value for word in given for value in (word, word.partition("=")[2]) if len(value) > LONGEST_SHOWN}
    for value in sorted(values, key=len, reverse=True):
        message = message.replace(value, _cut(value, LONGEST_SHOWN))
    message = re.sub(rf"\S{{{2 * LONGEST_SHOWN},}}", lambda word: _cut(word[0], LONGEST_SHOWN), " ".join(message.split()))
    message = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in message)
    return _cut(message, LONGEST_LINE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]} ({len(text)} characters)"
