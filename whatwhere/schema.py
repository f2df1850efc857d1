"""Schemas of files: what a value read from one must be, field by field. One schema a file kind, written as a TypedDict of its keys.

    class Record(TypedDict):
        size: Pixels
        name: NotRequired[Name | None]

    record = checked(value, Record, "a.json")     # BadInput: "a.json: size: needs a whole number from 1 to 4096, found 'x'"

The value comes back as it was, unknown keys included: newer versions and others may say more. msgspec does the checking; it is imported by this file and by
those that hold schemas, which are imported where a file is read, so that no command starts later for it.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from whatwhere.errors import BadInput, about, did_you_mean, shown

T = TypeVar("T")
MARKS = (typing.NotRequired, typing.Required)

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=10_000)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="a sha256 (64 hexadecimal digits)")]
Index = Annotated[int, Meta(ge=0, le=2**62)]
Count = Annotated[int, Meta(ge=1, le=2**62)]
Pixels = Annotated[int, Meta(ge=1, le=4096)]
Hz = Annotated[float, Meta(gt=0, le=1000)]
Finite = Annotated[float, Meta(ge=-1e30, le=1e30)]
Share = Annotated[float, Meta(ge=0, le=1)]
Shape = Annotated[list[Annotated[int, Meta(ge=0, le=2**40)]], Meta(max_length=16)]
Versions = Annotated[dict[Name, Name | None], Meta(max_length=100)]


def made(value: Any, settings: type[T], where: str) -> T:
    """The dataclass that `value` describes. Raises BadInput for a key that it does not have, for what does not fit, and where its own checks do."""
    _refuse_unknown(value, settings, where)
    with about(where):
        try:
            return msgspec.convert(value, settings)
        except (msgspec.ValidationError, RecursionError):
            place, found, valid = _fault(value, settings, "")
            raise BadInput(f"{place}{': ' if place else ''}{valid}{found}") from None


def _refuse_unknown(value: Any, settings: Any, where: str) -> None:
    if dataclasses.is_dataclass(settings) and isinstance(value, dict):
        hints = _hints(settings)
        for name in value:
            if name not in hints:
                raise BadInput(f"{where}: {shown(name)}: no such key; valid: {', '.join(hints)}{did_you_mean(name, hints)}")
            _refuse_unknown(value[name], hints[name], f"{where}.{name}")


def checked(value: Any, schema: type[T], where: str) -> T:
    """`value` itself, if it fits `schema`. Raises BadInput: `where`, the field, what was found, what is valid."""
    try:
        msgspec.convert(value, schema)
    except (msgspec.ValidationError, RecursionError):
        place, found, valid = _fault(value, schema, "")
        raise BadInput(f"{where}: {place}{': ' if place else ''}{valid}{found}") from None
    return value


def _fault(value: Any, schema: Any, place: str) -> tuple[str, str, str]:
    """(place, found, valid) of the innermost part that does not fit."""
    for name, part, inner in _parts(value, schema):
        try:
            msgspec.convert(part, inner)
        except (msgspec.ValidationError, RecursionError):
            return _fault(part, inner, f"{place}{name}" if name.startswith("[") else f"{place}.{name}".lstrip("."))
    if isinstance(value, dict) and (missing := [name for name in _required(schema) if name not in value]):
        return f"{place}.{missing[0]}".lstrip("."), "", "missing"
    return place, f", found {shown(value)}", f"needs {described(schema)}"


def _parts(value: Any, schema: Any) -> Iterator[tuple[str, Any, Any]]:
    """What `value` consists of: (name, part, its schema)."""
    for kind in _kinds(schema):
        origin, inside = typing.get_origin(kind) or kind, typing.get_args(kind)
        if isinstance(value, dict) and (typing.is_typeddict(kind) or dataclasses.is_dataclass(kind)):
            hints = _hints(kind)
            yield from ((name, value[name], hints[name]) for name in hints if name in value)
        elif isinstance(value, dict) and origin is dict:
            yield from ((shown(key), key, inside[0]) for key in value)
            yield from ((str(key), part, inside[1]) for key, part in value.items())
        elif isinstance(value, list | tuple) and origin in (list, tuple) and inside:
            items = inside if origin is tuple and inside[-1] is not ... else [inside[0]] * len(value)
            yield from ((f"[{number}]", part, item) for number, (part, item) in enumerate(zip(value, items, strict=False)))


def _kinds(schema: Any) -> list[Any]:
    """The types that a schema allows, without their limits."""
    origin = typing.get_origin(schema)
    if origin is Annotated:
        return _kinds(typing.get_args(schema)[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for option in typing.get_args(schema) for kind in _kinds(option)]
    return [schema]


@functools.cache
def _hints(schema: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(schema, include_extras=True)
    return {name: typing.get_args(hint)[0] if typing.get_origin(hint) in MARKS else hint for name, hint in hints.items()}


def _required(schema: Any) -> list[str]:
    return [field.encode_name for kind in _kinds(schema) if typing.is_typeddict(kind) for field in msgspec.inspect.type_info(kind).fields if field.required]  # type: ignore[attr-defined]


def described(schema: Any) -> str:
    """What is valid, in words."""
    return _words(msgspec.inspect.type_info(schema))


def _words(info: Any) -> str:
    kind = msgspec.inspect
    if isinstance(info, kind.Metadata):
        return (info.extra_json_schema or {}).get("description") or _words(info.type)
    if isinstance(info, kind.UnionType):
        return " or ".join(map(_words, info.types))
    if isinstance(info, kind.LiteralType):
        *most, last = map(str, info.values)
        return f"{', '.join(most)} or {last}" if most else last
    if isinstance(info, kind.IntType | kind.FloatType):
        least, more, most = (None if limit is None or abs(limit) > 1e15 else f"{limit:.12g}" for limit in (info.ge, info.gt, info.le))
        low = f" above {more}" if more is not None else f" from {least}" if least is not None else ""
        high = "" if most is None else f" to {most}" if least is not None else f" and at most {most}"
        words = "a whole number" if isinstance(info, kind.IntType) else "a finite number"
        return words + low + (high or (" on" if least is not None else ""))
    if isinstance(info, kind.ListType | kind.VarTupleType):
        return "a list" + ("" if info.max_length is None else f" of {info.min_length or 0} to {info.max_length}")
    if isinstance(info, kind.StrType):
        return "a text" + ("" if info.max_length is None else f" of {info.min_length or 0} to {info.max_length} characters")
    words = {kind.BoolType: "true or false", kind.NoneType: "null", kind.TupleType: f"a list of {len(getattr(info, 'item_types', ()))}"}
    return words.get(type(info), "an object")
