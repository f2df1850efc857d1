"""`@options`: the frozen dataclass of a command's settings, which holds only what its types allow, however it is made."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from whatwhere.hints import HINTS, hints_of

T = TypeVar("T")


@typing.dataclass_transform(frozen_default=True)
def options(settings: type[T]) -> type[T]:
    """A frozen dataclass whose values are checked, and turned into the types that their annotations name, before its own `__post_init__`.

    Raises BadInput when an object is made of values that the types, or what is said beside them, refuse.
    """
    hints = hints_of(settings)
    setattr(settings, HINTS, hints)  # a launcher's worker does not know the annotations' names
    then: Callable[[Any], None] | None = settings.__dict__.get("__post_init__")

    def checking(self: Any) -> None:
        from whatwhere.reading import check  # not for --help

        for name, hint in hints.items():
            object.__setattr__(self, name, check(name, getattr(self, name), hint))
        if then is not None:
            then(self)

    settings.__post_init__ = checking  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True)(settings)
