"""JSON without trust: by RFC 8259 and no more. What other readers let pass and then read differently is refused, with the place it stands at."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from whatwhere.errors import BadInput, shown

MAX_DEPTH, MAX_BYTES = 64, 32 << 20  # a text of brackets takes thirty times its bytes of memory
LARGEST = 2**63  # whole numbers from here on are no counts, seeds or sizes
HALVES = re.compile(rb"\\u[dD][89a-fA-F]")  # of characters beyond the first 65,536: whether each has its other half is looked at


class Malformed(BadInput):
    """Not JSON at all; `cut_off`: it may be the beginning of a JSON text."""

    def __init__(self, message: str, cut_off: bool = False) -> None:
        super().__init__(message)
        self.cut_off = cut_off


def parse(text: bytes | str, where: str) -> Any:
    """The value of a JSON text. Raises BadInput, beginning with `where`, and of its kinds Malformed for what is not JSON.

    Refused: other encodings than UTF-8, a key that stands twice in an object, NaN and infinity (1e999 too), lone surrogates, whole numbers of more than
    64 bits, nesting deeper than MAX_DEPTH, and more than MAX_BYTES.
    """
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > MAX_BYTES:
        raise BadInput(f"{where}: {len(data)} bytes of JSON; at most {MAX_BYTES} are read")
    try:
        value = _decoded(data.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        raise Malformed(f"{where}: not JSON in UTF-8", cut_off=error.reason == "unexpected end of data") from None
    except json.JSONDecodeError as error:
        end = len(error.doc.rstrip())
        raise Malformed(f"{where}: not JSON ({error})", cut_off=error.pos >= end or not error.doc.rstrip().endswith(("}", "]"))) from None
    except RecursionError:
        raise BadInput(f"{where}: nested deeper than {MAX_DEPTH}") from None
    except _Twice as error:
        raise BadInput(f"{where}: the key {shown(error.args[0])} stands twice in one object") from None
    except ValueError:  # more digits than Python takes
        raise BadInput(f"{where}: holds a whole number of thousands of digits") from None
    if _depth(value) > MAX_DEPTH:
        raise BadInput(f"{where}: nested deeper than {MAX_DEPTH}")
    if HALVES.search(data):
        _look_through(value, where, "")
    return value


class _Twice(Exception):
    """A key that stands twice in one object."""


class _OutOfRange(Exception):
    """A number that is none, or too large."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return value


def _whole(digits: str) -> int:
    if len(digits) > 18:
        raise _OutOfRange
    return int(digits)


def _finite(digits: str) -> float:
    if (value := float(digits)) in (math.inf, -math.inf):
        raise _OutOfRange
    return value


def _none(constant: str) -> None:
    raise _OutOfRange


STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole, parse_float=_finite, parse_constant=_none)
LENIENT = json.JSONDecoder(object_pairs_hook=_once)  # to find what STRICT stumbled over


def _decoded(text: str, where: str) -> Any:
    try:
        return STRICT.decode(text)
    except _OutOfRange:
        value = LENIENT.decode(text)
    _look_through(value, where, "")
    return value


def _depth(value: Any) -> int:
    """How many objects and lists lie in one another."""
    depth, level = -1, [[value]]
    while level:
        inside = [child for part in level for child in (part.values() if isinstance(part, dict) else part)]
        level = [child for child in inside if isinstance(child, (dict, list))]
        depth += 1
    return depth


def _look_through(value: Any, where: str, place: str) -> None:
    """Raises BadInput at the first value that is no JSON, no text, or out of range."""
    here = f"{where}: {place}" if place else where
    if isinstance(value, dict):
        for key, part in value.items():
            _look_through(key, where, place)
            _look_through(part, where, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            _look_through(part, where, f"{place}[{number}]")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{here}: needs text, found half a character ({shown(value)})") from None
    elif isinstance(value, float) and not abs(value) < float("inf"):
        raise BadInput(f"{here}: needs a finite number, found {value}")
    elif isinstance(value, int) and not -LARGEST <= value < LARGEST:
        raise BadInput(f"{here}: needs a number of at most 64 bits, found {shown(value)}")
