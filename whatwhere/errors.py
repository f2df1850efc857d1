"""Bad input: one clear line and exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """A mistake in what the user gave: says what, where, what was found and what is valid, in one line."""


def choose(field: str, name: str, valid: Iterable[str]) -> str:
    """`name` itself if it is one of `valid`; otherwise BadInput naming `field`, the choices and the nearest one."""
    choices = list(valid)
    if name in choices:
        return name
    raise BadInput(f"{field}={name}: unknown; valid: {', '.join(choices)}{did_you_mean(str(name), choices)}")


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.4)
    return f" (did you mean {near[0]}?)" if near else ""


def positive(field: str, value: float, least: float = 1) -> None:
    """Raises BadInput unless `value` is a finite number ≥ `least`."""
    if not (value >= least and value < float("inf")):
        raise BadInput(f"{field}={value}: must be at least {least}")
