"""What `--help` prints: what a command does, and each option with its default, its comment and what it may be."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from whatwhere.errors import one_of
from whatwhere.hints import alternatives, describe, fields_of, hint_at, hints_of, inside_of
from whatwhere.settings import folder_of, groups_of

OPTION = re.compile(r"(\w+):\s*((?:\[[^\]]*\]|[^#])*?)\s*(?:#\s*(.*))?")
HYDRAS_OWN = re.compile(r"^(?:hydra|defaults):", re.MULTILINE)  # comes last in a file


def usage(config_module: str, config_name: str, settings: type[Any], main: Callable[..., object], bare: Sequence[str] = ()) -> str:
    """The YAML of defaults with its comments is the reference; what an option may be is said by its type."""
    module = sys.modules[main.__module__]
    name = module.__spec__.name.removesuffix(".__main__") if module.__spec__ else main.__module__
    hints = hints_of(settings)
    groups = groups_of(config_module, hints)
    words = "".join(f"{word.upper()} " for word in bare)
    return "\n".join(
        [
            f"python -m {name} {words}key=value …\n\n{(module.__doc__ or main.__doc__ or '').strip()}\n\nOptions, their defaults and what they may be:\n",
            *(f"  {line}" for line in _options(config_module, f"{config_name}.yaml", hints, groups)),
            "\nWrite a list as key=[A,B], or as a single value. Text is taken literally.",
            "A sweep: -m key=a,b,c (one after the other; hydra/launcher=joblib runs them in parallel). Hydra's own flags: --hydra-help.",
        ]
    )


def _options(config_module: str, path: str, hints: Mapping[str, Any], groups: Mapping[str, Sequence[str]], prefix: str = "") -> Iterator[str]:
    """The lines of a file of defaults, with what each option may be."""
    text = (folder_of(config_module) / path).read_text(encoding="utf-8")
    for line in HYDRAS_OWN.split(text, maxsplit=1)[0].strip().splitlines():
        found = OPTION.fullmatch(line)
        if found is None:
            yield line
            continue
        key, default, comment = found.groups()
        hint = hint_at(prefix + key, hints)
        yield f"{f'{prefix}{key}: {default}':<22} # {comment or ''}{' ' * bool(comment)}[{_may_be(key, hint, groups)}]"
        yield from _parts(config_module, key, hint, hints, groups)


def _may_be(key: str, hint: Any, groups: Mapping[str, Sequence[str]]) -> str:
    null = ["null"] if type(None) in alternatives(hint) else []
    return one_of([*groups[key], *null]) if key in groups else describe(hint)


def _parts(config_module: str, key: str, hint: Any, hints: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The lines of the parts of an option: those of the files that it is chosen from, where each has a type of its own, or else of its type."""
    inside = inside_of(hint)
    parts = fields_of(hint) if dataclasses.is_dataclass(inside) else {}
    if "name" in parts:
        for choice in groups[key]:
            yield f"  with {key}={choice}:"
            lines = _options(config_module, f"{key}/{choice}.yaml", hints, {}, f"{key}.")
            yield from (f"  {line}" for line in lines if not line.startswith(f"{key}.name:"))
    else:
        yield from (f"  {f'{key}.{name}=…':<20} # [{describe(part)}]" for name, part in parts.items())
