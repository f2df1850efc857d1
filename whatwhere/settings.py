"""Settings of a command: from `key=value` texts to a typed, checked dataclass."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from whatwhere.errors import BadInput, did_you_mean

T = TypeVar("T")


def parse(config_module: str, config_name: str, settings: type[T], arguments: Sequence[str]) -> T:
    """The settings that `arguments` (`key=value` …) make of the defaults. Raises BadInput."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    hints = typing.get_type_hints(settings)
    check_keys(arguments, list(hints))
    try:
        with initialize_config_module(version_base="1.3", config_module=config_module):
            config = compose(config_name, overrides=[quoted(argument, hints) for argument in arguments])
        values = OmegaConf.to_container(config, resolve=True)
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        if not (group and error.options):
            raise BadInput(f"{' '.join(arguments)}: {first_line(error)}") from None
        valid = [option for option in error.options if option != "__init__"]
        raise BadInput(f"{group}={name}: unknown; valid: {', '.join(valid)}{did_you_mean(name, valid)}") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(f"{' '.join(arguments)}: {first_line(error)}") from None
    return typed(settings, values, hints)  # type: ignore[arg-type]


def check_keys(arguments: Sequence[str], keys: Sequence[str]) -> None:
    """Raises BadInput for an argument that is not `key=value`, and for an unknown key."""
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        key = key.lstrip("+~")
        if not equals:
            raise BadInput(f"{argument}: not of the form key=value; valid keys: {', '.join(keys)}{did_you_mean(key, keys)}")
        if re.split(r"[./@:]", key)[0] not in (*keys, "hydra"):
            raise BadInput(f"{key}: no such option; valid: {', '.join(keys)}{did_you_mean(key, keys)}")


def quoted(argument: str, hints: Mapping[str, Any]) -> str:
    """`argument` with its value in quotes where the option is a text, so that `out=runs (2)/a=b` or `out=007` mean what they say."""
    key, _, value = argument.partition("=")
    if hints.get(key) not in (str, str | None) or value in ("", "null") or value[0] in "'\"":
        return argument
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"{key}='{escaped}'"


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def typed(settings: type[T], values: Mapping[str, Any], hints: Mapping[str, Any] | None = None) -> T:
    """Builds the dataclass with every value converted to its annotated type. Raises BadInput naming the option."""
    hints = typing.get_type_hints(settings) if hints is None else hints
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise BadInput(f"{unknown[0]}: no such option; valid: {', '.join(hints)}{did_you_mean(unknown[0], hints)}")
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if field.name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInput(f"{field.name}: missing; give {field.name}=…")
    return settings(**{key: _convert(key, value, hints[key]) for key, value in values.items()})


def _convert(key: str, value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) not in options:
        raise BadInput(f"{key}: missing; give {key}=…")
    for option in options:
        converted = _as(key, value, option)
        if converted is not _NO:
            return converted
    raise BadInput(f"{key}={value}: needs {' or '.join(_name(option) for option in options)}, found {_name(type(value))}")


_NO = object()  # "this value is not of that type" (None is a value)


def _as(key: str, value: Any, option: Any) -> Any:
    origin, arguments = typing.get_origin(option) or option, typing.get_args(option)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is typing.Literal:
        return value if value in arguments else _NO
    if option is float and number:
        return float(value)
    if option is int and number and not isinstance(value, float):
        return value
    if option is str and not isinstance(value, dict | list | type(None)):
        return str(value)
    if option is Path and isinstance(value, str):
        return Path(value)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_convert(key, item, arguments[0] if arguments else Any) for item in value)
    if option is Any or (origin in (bool, dict, type(None)) and isinstance(value, origin)):
        return value
    return _NO


def _name(option: Any) -> str:
    if typing.get_origin(option) is typing.Literal:
        return " or ".join(str(choice) for choice in typing.get_args(option))
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", tuple: "a list", dict: "a mapping"}
    return {**words, type(None): "null"}.get(typing.get_origin(option) or option, getattr(option, "__name__", str(option)))
