"""From the text of an option to its value. The option's type decides how the text is read, and what is said beside the type is checked.

A text is taken as it stands. A list is written in brackets, `[A,B]`, or as one bare value. `null` is null only where the option may be null.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from whatwhere.errors import BadInput, did_you_mean
from whatwhere.hints import alternatives, bare, describe, element_of, hints_of, kinds_of
from whatwhere.pieces import listed, unquoted

WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
T = TypeVar("T")

LONGEST_NUMBER = 100  # signs
NO = object()  # "not of that type" (None is a value)


def read(key: str, text: str, hint: Any) -> Any:
    """The value that `text` is for an option of this type, not yet checked. Raises BadInput where it is none."""
    options = alternatives(hint)
    if type(None) in options and text == "null":
        return None
    for option in options:
        value = _read(key, text, bare(option))
        if value is not NO:
            return value
    if text == "null":
        raise BadInput(f"{key}: missing; give {key}=…")
    raise BadInput(f"{key}={text}: needs {describe(hint)}")


def _read(key: str, text: str, kind: Any) -> Any:
    number = text.strip()
    if kind is str:
        return unquoted(text)
    if kind is bool:
        return {"true": True, "false": False}.get(number.lower(), NO)
    if typing.get_origin(kind) is typing.Literal:
        return next((choice for choice in typing.get_args(kind) if str(choice) == unquoted(text)), NO)
    if kind is int and len(number) <= LONGEST_NUMBER:
        return int(number) if WHOLE.fullmatch(number) else NO
    if kind is float and len(number) <= LONGEST_NUMBER and number.isascii():
        try:
            return float(number)
        except ValueError:
            return NO
    if element_of(kind) is not None:
        elements = listed(text)
        return [_element(read, key, element, kind) for element in ([text] if elements is None else elements)]
    return NO


def check(key: str, value: Any, hint: Any) -> Any:
    """`value` as the type wants it. Raises BadInput where it is of another type, or something beside the type refuses it."""
    options, refusals = alternatives(hint), []
    if value is None and type(None) not in options and bare(hint) is not Any:
        raise BadInput(f"{key}: missing; give {key}=…")
    for option in options:
        found = _as(key, value, bare(option))
        if found is NO:
            continue
        try:
            for kind in kinds_of(option):
                kind.check(key, found)
            return found
        except BadInput as error:
            refusals.append(error)
    if refusals and len([option for option in options if option is not type(None)]) == 1:
        raise refusals[0]
    raise BadInput(f"{key}={value}: needs {describe(hint)}")


def _as(key: str, value: Any, kind: Any) -> Any:
    """`value` as this one type, without a union's others; `NO` where it is not of it."""
    origin, number = typing.get_origin(kind) or kind, isinstance(value, int | float) and not isinstance(value, bool)
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping) and "name" in value and _is_of_another(value["name"], hints_of(kind).get("name")):  # type: ignore[arg-type]
            return NO
        return value if isinstance(value, kind) else _part(key, value, kind) if isinstance(value, Mapping) else NO  # type: ignore[arg-type]
    if element_of(kind) is not None and not isinstance(value, dict | type(None)):
        return origin(_element(check, key, element, kind) for element in (value if isinstance(value, list | tuple) else [value]))
    if origin is typing.Literal:
        return value if value in typing.get_args(kind) else NO
    if kind is float and number:
        return float(min(max(value, -1e300), 1e300)) if isinstance(value, int) else value
    if kind is int and number and not isinstance(value, float):
        return value
    if kind is str and not isinstance(value, dict | list | tuple | type(None)):
        return str(value)
    if origin is dict and isinstance(value, dict):
        if odd := [name for name in value if not isinstance(name, str)]:
            raise BadInput(f"{key}.{odd[0]}: needs a name in place of {odd[0]}")
        inside = (typing.get_args(kind) or (Any, Any))[1]
        return {name: check(f"{key}.{name}", one, inside) for name, one in value.items()}
    if kind is Any or (origin in (bool, type(None)) and isinstance(value, origin)):
        return value
    return NO


def _is_of_another(name: Any, hint: Any) -> bool:
    """Whether it is the name of another one of the dataclasses that an option may be."""
    return typing.get_origin(hint) is typing.Literal and name not in typing.get_args(hint)


def build(settings: type[T], values: Mapping[str, Any], hints: Mapping[str, Any] | None = None) -> T:
    """The dataclass `settings` of `values`, each as its type wants it. Raises BadInput naming the option."""
    hints = hints_of(settings) if hints is None else hints
    for name in values:
        if name not in hints:
            raise BadInput(f"{name}: no such option; valid: {', '.join(hints)}{did_you_mean(str(name), hints)}")
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if values.get(field.name) is None and field.default is dataclasses.MISSING and type(None) not in alternatives(hints[field.name]):
            raise BadInput(f"{field.name}: missing; give {field.name}=…")
    return settings(**{name: check(name, value, hints[name]) for name, value in values.items()})


def _part(key: str, value: Mapping[str, Any], settings: type[T]) -> T:
    """`build` for an option that has parts."""
    try:
        return build(settings, value)
    except BadInput as error:
        raise BadInput(f"{key}.{error}") from None


def _element(by: Callable[[str, Any, Any], Any], key: str, element: Any, kind: Any) -> Any:
    """An element of a list, read or checked; a refusal says how a list is written where a comma in it says that one was meant."""
    try:
        return by(key, element, element_of(kind))
    except BadInput as error:
        if isinstance(element, str) and "," in element and "a list is written" not in str(error):
            raise BadInput(f"{error}; a list is written {key}=[{element}]") from None
        raise
