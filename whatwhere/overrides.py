"""From `key=value` as it is given to an override in Hydra's grammar."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whatwhere.errors import BadInput, choose, did_you_mean
from whatwhere.flags import is_hydras
from whatwhere.hints import alternatives, hint_at, inside_of
from whatwhere.pieces import pieces, quoted, unquoted
from whatwhere.reading import check, read

CHOICE = re.compile(r"\s*choice\s*\((.*)\)\s*", re.DOTALL)  # the same as what is in it
FUNCTIONS = re.compile(r"\s*(range|shuffle|sort)\s*\(.*\)\s*", re.DOTALL)  # Hydra's, in a sweep
REFERENCE = re.compile(r"\$\{\s*(?:([\w.]+)\s*:|\.*(\w+)[\w.\[\]]*\s*\})")  # ${resolver:…} or ${option}
MOST_CHOICES, LONGEST_MAPPING, LONGEST_KEY = 10_000, 10_000, 200


def split(argument: str, hints: Mapping[str, Any]) -> tuple[str, str]:
    """Key and text. Raises BadInput for what is not `key=value` with a known key."""
    key, equals, text = argument.partition("=")
    key = key if is_hydras(key) else key.lstrip("+")  # Hydra's "add it, or set it": options are there, and what is not is added to a mapping
    if not equals:
        raise BadInput(f"{argument}: not of the form key=value; valid keys: {', '.join(hints)}{did_you_mean(key, hints)}")
    if len(key) > LONGEST_KEY:
        raise BadInput(f"{key}: no such option; valid: {', '.join(hints)}")
    if not is_hydras(key):
        hint_at(key, hints)
    return key, text


def override(argument: str, hints: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> str:
    """`argument` in Hydra's grammar, its value read as the option's type says; `groups`: {option: the files of settings to choose from}. Raises BadInput."""
    key, text = split(argument, hints)
    if is_hydras(key):
        return argument
    try:
        return f"{_place(key, hints)}={_value(key, text, hints, groups)}"
    except BadInput as error:
        if "," in text and text.strip()[:1] not in ("[", "{") and "a list is written" not in str(error):
            raise BadInput(f"{error}; to try several values, add -m") from None
        raise


def choices(argument: str, hints: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The overrides that an argument of a sweep stands for: one for each of the values between commas. Raises BadInput."""
    key, text = split(argument, hints)
    if is_hydras(key):
        return [argument]
    text = chosen[1] if (chosen := CHOICE.fullmatch(text)) else text
    by_hydra = FUNCTIONS.fullmatch(text) or (inside_of(hint_at(key, hints)) is not None and key not in groups and _parsed(key, text))
    return [f"{_place(key, hints)}={_value(key, piece, hints, groups)}" for piece in (_swept(key, text) if by_hydra else pieces(text))]


def with_removals(overrides: Sequence[str]) -> list[str]:
    """The same with each whole mapping (`+key=…`) set to null first, whether it is there or not: Hydra alone would mix it with what is there."""
    return [word for one in overrides for word in ([f"+{one.partition('=')[0]}=null", one] if re.match(r"\+[^+]", one) and not is_hydras(one) else [one])]


def _place(key: str, hints: Mapping[str, Any]) -> str:
    """The key in Hydra's grammar: what belongs into a mapping is added where it is not there, and a whole mapping is added anew (`with_removals`)."""
    whole, inside = key.rpartition(".")[0], inside_of(hint_at(key, hints))
    if whole and not dataclasses.is_dataclass(inside_of(hint_at(whole, hints))):
        return f"++{key}"
    if sum(dataclasses.is_dataclass(option) for option in alternatives(hints[key.partition(".")[0]])) > 1:
        return f"++{key}" if whole else key  # not a part of the one that is chosen, perhaps: its type says so
    return key if inside is None or dataclasses.is_dataclass(inside) else f"+{key}"


def _value(key: str, text: str, hints: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> str:
    """The value in Hydra's grammar."""
    hint = hint_at(key, hints)
    if key in groups:
        return text if text == "null" and type(None) in alternatives(hint) else choose(key, unquoted(text), groups[key])
    if inside_of(hint) is not None:
        if len(text) > LONGEST_MAPPING:
            raise BadInput(f"{key}={text}: {len(text)} characters long, at most {LONGEST_MAPPING} are allowed")
        return text if _parsed(key, text) else _encoded(text, hints)
    if text.startswith("${") and _refers(text, 0, hints):  # to another option, whatever the type of either
        return _encoded(text, hints)
    return _encoded(check(key, read(key, text, hint), hint), hints)  # checked already here: Hydra takes seconds over a very long word


def _encoded(value: Any, hints: Mapping[str, Any]) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_encoded(one, hints) for one in value)}]"
    return quoted(_escaped(value, hints)) if isinstance(value, str) else str(value)


def _escaped(text: str, hints: Mapping[str, Any]) -> str:
    """`text` with each `${` escaped that refers to nothing, so that it is itself."""
    return re.sub(r"(\\*)\$\{", lambda found: found[0] if _refers(text, found.end(1), hints) else f"{found[1] * 2}\\${{", text)


def _refers(text: str, at: int, hints: Mapping[str, Any]) -> bool:
    """Whether the `${` at a place is one that Hydra fills: with the value of another option, or by one of its resolvers, as in `${oc.env:HOME}`."""
    from omegaconf import OmegaConf

    found = REFERENCE.match(text, at)
    return found is not None and (OmegaConf.has_resolver(found[1]) if found[1] else found[2] in hints)


def _parsed(key: str, text: str) -> Any:
    """What Hydra makes of `key=text`; None where its grammar does not know it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"{key}={text}")
    except (HydraException, RecursionError):  # brackets in brackets in brackets …
        return None


def _swept(key: str, text: str) -> list[str]:
    """The values that Hydra's grammar makes of a sweep, a list for each job. Raises BadInput."""
    from hydra.core.override_parser.types import RangeSweep

    found = _parsed(key, text)
    if found is None:
        raise BadInput(f"{key}={text}: not understood; a sweep is written {key}=a,b,c or with choice, range, shuffle or sort")
    if not found.is_sweep_override():
        return [found.get_value_element_as_str()]
    sweep = found.value()
    if isinstance(sweep, RangeSweep) and not (sweep.step and (sweep.stop - sweep.start) / sweep.step <= MOST_CHOICES):  # type: ignore[operator]
        raise BadInput(f"{key}={text}: more than {MOST_CHOICES} values")
    values = list(found.sweep_string_iterator())
    if not values:
        raise BadInput(f"{key}={text}: no values")
    return values
