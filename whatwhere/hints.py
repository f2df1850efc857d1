"""Types of options: what is said beside them, what is inside them, and how they read in words."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from whatwhere.errors import BadInput, did_you_mean

HINTS = "__hints__"  # where a class keeps them
NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping {name: value, …}", type(None): "null"}


def hints_of(settings: type[Any]) -> dict[str, Any]:
    """{option: its type, with what is said beside it}."""
    return settings.__dict__.get(HINTS) or typing.get_type_hints(settings, include_extras=True)


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """What is said beside a type: `Annotated[int, Range(1, 5)]` → `(Range(1, 5),)`."""
    return getattr(hint, "__metadata__", ())


def bare(hint: Any) -> Any:
    """The type without what is said beside it."""
    return hint.__origin__ if kinds_of(hint) else hint


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of any other type it alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def element_of(hint: Any) -> Any:
    """The type of a list's elements; None for what is no list."""
    return (typing.get_args(bare(hint)) or (Any,))[0] if (typing.get_origin(bare(hint)) or bare(hint)) in (tuple, list) else None


def inside_of(hint: Any) -> Any:
    """The mapping or dataclass that an option may be; None for one without parts."""
    options = (bare(option) for option in alternatives(hint))
    return next((one for one in options if dataclasses.is_dataclass(one) or (typing.get_origin(one) or one) in (dict, Any)), None)


def fields_of(hint: Any) -> dict[str, Any]:
    """{part: its type} of an option that is a dataclass, or one of several: then any of their parts."""
    found: dict[str, list[Any]] = {}
    for option in alternatives(hint):
        for name, part in hints_of(bare(option)).items() if dataclasses.is_dataclass(bare(option)) else ():
            found.setdefault(name, []).append(part)
    return {name: typing.Union[tuple(parts)] for name, parts in found.items()}  # noqa: UP007  # of as many as there are


def hint_at(key: str, hints: Mapping[str, Any]) -> Any:
    """The type of `key`, which may name a part of an option: `study.num_demos`. Raises BadInput for one that there is not."""
    name, *parts = key.split(".")
    if name not in hints:
        raise BadInput(f"{key}: no such option; valid: {', '.join(hints)}{did_you_mean(key, hints)}")
    hint = hints[name]
    for part in parts:
        inside = inside_of(hint)
        if inside is None:
            raise BadInput(f"{key}: {name} has no parts; write {name}=…")
        if dataclasses.is_dataclass(inside):
            fields = fields_of(hint)
            if part not in fields:
                raise BadInput(f"{key}: no such option; valid: {', '.join(f'{name}.{field}' for field in fields)}{did_you_mean(part, fields)}")
            hint = fields[part]
        else:
            hint = (typing.get_args(inside) or (Any,))[-1]
    return hint


def describe(hint: Any) -> str:
    """A type in words: `a whole number, at least 1, at most 4096, or null`."""
    options = [_described(option) for option in alternatives(hint) if option is not type(None)]
    return ", or ".join([*options, "null"] if type(None) in alternatives(hint) else options)


def _described(option: Any) -> str:
    kind, said = bare(option), [str(one) for one in kinds_of(option)]
    if element_of(kind) is not None:
        return "; ".join([f"a list, each {describe(element_of(kind))}", *said])
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(str(choice) for choice in typing.get_args(kind))
    named = [] if said and kind is str else [NAMES.get(typing.get_origin(kind) or kind, getattr(kind, "__name__", str(kind)))]
    return ", ".join([*named, *said])
