"""The words of a command line, sorted: flags with the words that belong to them, options, and bare words that stand for options."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from whatwhere.errors import BadInput, choose

SHORT = {"-m": "--multirun", "-h": "--help", "-c": "--cfg", "-p": "--package", "-cd": "--config-dir", "-i": "--info"}
ALONE = ("--multirun", "--help", "--hydra-help", "--version", "--resolve")
CFG = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
WITH_WORD = ("--cfg", "--package", "--config-dir")
PRINTING = ("--cfg", "--info", "--hydra-help", "--version")  # with these Hydra prints something and nothing is run


class Words(NamedTuple):
    """`flags`: {long name: its word, or None}; `options`: `key=value` …, bare words among them."""

    flags: dict[str, str | None]
    options: list[str]


def is_hydras(word: str) -> bool:
    """Whether an option is one of Hydra's own, such as hydra/launcher=joblib, which go to it as they are."""
    return word.lstrip("+~").startswith(("hydra.", "hydra/"))


def sort(arguments: Sequence[str], options: Mapping[str, Any], bare: Sequence[str] = ()) -> Words:
    """Sorts a command line; the first bare words stand for the options `bare`, in this order. Raises BadInput for a flag that there is not."""
    flags: dict[str, str | None] = {}
    left, rest = list(arguments), []
    names = [name for name in bare if not any(word.startswith(f"{name}=") for word in arguments)]
    while left:
        argument = left.pop(0)
        if not argument.startswith("-"):
            is_bare = names and not _is_option(argument, options)
            rest.append(f"{names.pop(0)}={argument}" if is_bare else argument)
            continue
        flag, equals, word = argument.partition("=")
        flag = SHORT.get(flag, flag)
        if flag in ALONE and not equals:
            flags[flag] = None
        elif flag == "--info":
            flags[flag] = choose(flag, word, INFO) if equals else left.pop(0) if left and left[0] in INFO else "all"
        elif flag in WITH_WORD:
            if not equals and not left:
                raise BadInput(f"{argument}: needs a word after it")
            flags[flag] = word if equals else left.pop(0)
        else:
            raise _unknown(flag, options)
    return _checked(Words(flags, rest))


def _is_option(word: str, options: Collection[str]) -> bool:
    """Whether a word is `key=value`, and not a path with a = in it."""
    key, equals, _ = word.partition("=")
    return bool(equals) and ("/" not in key or is_hydras(key)) and (key.lstrip("+~").split(".")[0] in options or not os.path.lexists(word))


def _unknown(flag: str, options: Mapping[str, Any]) -> BadInput:
    name = flag.lstrip("-").replace("-", "_")
    hint = f"; write {name}=…" if name in options else "; options are written key=value"
    return BadInput(f"{flag}: no such flag{hint} (flags: -m for a sweep, --help, --hydra-help)")


def _checked(words: Words) -> Words:
    flags = words.flags
    if "--cfg" in flags:
        choose("--cfg", str(flags["--cfg"]), CFG)
    for flag in ("--resolve", "--package"):
        if flag in flags and "--cfg" not in flags:
            raise BadInput(f"{flag}: goes with --cfg, as in --cfg job {flag}")
    folder = flags.get("--config-dir")
    if folder is not None and not Path(folder).is_dir():
        raise BadInput(f"--config-dir {folder}: no such folder")
    return words
