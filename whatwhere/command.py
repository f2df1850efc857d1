"""The command line of every module: Hydra's grammar and sweeps, but bad input is one line and exit code 2.

A command is a frozen dataclass of settings, a YAML of defaults beside it, and a function:

    @dataclass(frozen=True)
    class Settings:
        task: str
        episodes: int = 50
        def __post_init__(self): ...          # raise BadInput: checked before anything heavy is imported

    def main(settings: Settings) -> None: ...

    if __name__ == "__main__":
        command("eval.conf", "run", Settings, main)
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from whatwhere.errors import BadInput, did_you_mean

T = TypeVar("T")


def command(config_module: str, config_name: str, settings: type[T], main: Callable[[T], None], argv: Sequence[str] | None = None) -> None:
    """Composes `config_name`.yaml of the package `config_module` with the overrides in `argv` and calls `main(settings)`.

    Flags (`--help`, `-m`, `--cfg job`, …) are Hydra's own. Exits 2 with one line on BadInput, 130 on Ctrl-C, 1 on other failures.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if any(argument.startswith("-") for argument in arguments):
            _hydra(config_module, config_name, settings, main, arguments)
        else:
            main(parse(config_module, config_name, settings, arguments))
    except BadInput as error:
        _leave(str(error), 2)
    except KeyboardInterrupt:
        _leave("interrupted: the same command carries on where it stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _leave(line: str, code: int) -> None:
    print(" ".join(line.split()), file=sys.stderr, flush=True)
    raise SystemExit(code)


def parse(config_module: str, config_name: str, settings: type[T], arguments: Sequence[str]) -> T:
    """The settings that `arguments` (`key=value` …) make of the defaults. Raises BadInput."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    keys = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    for argument in arguments:
        key = argument.split("=", 1)[0].lstrip("+~")
        if "=" not in argument:
            raise BadInput(f"{argument}: not of the form key=value; valid keys: {', '.join(keys)}")
        if key.split(".")[0] not in (*keys, "hydra"):
            raise BadInput(f"{key}: no such option; valid: {', '.join(keys)}{did_you_mean(key, keys)}")
    try:
        with initialize_config_module(version_base="1.3", config_module=config_module):
            config = compose(config_name, overrides=list(arguments))
        values = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(f"{' '.join(arguments)}: {_first_line(error)}") from None
    return typed(settings, values)  # type: ignore[arg-type]


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def typed(settings: type[T], values: dict[str, Any]) -> T:
    """Builds the dataclass with every value converted to its annotated type. Raises BadInput naming the option."""
    hints = typing.get_type_hints(settings)
    keys = {field.name for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - keys)
    if unknown:
        raise BadInput(f"{unknown[0]}: no such option; valid: {', '.join(sorted(keys))}{did_you_mean(unknown[0], keys)}")
    return settings(**{key: _convert(key, value, hints[key]) for key, value in values.items()})


def _convert(key: str, value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None:
        if type(None) in options:
            return None
        raise BadInput(f"{key}: missing; give {key}=…")
    for option in options:
        origin = typing.get_origin(option) or option
        if option is bool and isinstance(value, bool):
            return value
        if option is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if option is str and not isinstance(value, dict | list):
            return str(value)
        if origin in (tuple, list) and isinstance(value, list):
            return tuple(_convert(key, item, typing.get_args(option)[0]) for item in value)
        if origin is dict and isinstance(value, dict):
            return value
    names = " or ".join("none" if option is type(None) else getattr(option, "__name__", str(option)) for option in options)
    raise BadInput(f"{key}={value}: needs {names}, found {type(value).__name__}")


def _hydra(config_module: str, config_name: str, settings: type[T], main: Callable[[T], None], arguments: list[str]) -> None:
    """Hydra's own flags: help, sweeps with `-m` and its launchers."""
    import hydra
    from omegaconf import DictConfig, OmegaConf

    if "-m" in arguments or "--multirun" in arguments:
        plain = [a for a in arguments if not a.startswith(("-", "hydra."))]
        for argument in plain:  # a first look at every key, before jobs start
            if "=" in argument and not re.search(r"[,(*]", argument.split("=", 1)[1]):
                parse(config_module, config_name, _Loose.of(settings), [argument])

    def job(config: DictConfig) -> None:
        values = OmegaConf.to_container(config, resolve=True)
        main(typed(settings, values))  # type: ignore[arg-type]

    sys.argv[1:] = arguments
    hydra.main(version_base="1.3", config_path=f"pkg://{config_module}", config_name=config_name)(job)()


class _Loose:
    """The same fields as a settings class without its checks: for looking at one option of a sweep at a time."""

    @staticmethod
    def of(settings: type[Any]) -> type[Any]:
        fields = [(f.name, f.type, f) for f in dataclasses.fields(settings)]
        names = [name for name, _, _ in fields]
        return dataclasses.make_dataclass("Loose", [(name, Any, dataclasses.field(default=None)) for name in names])


def positive(field: str, value: float, least: float = 1) -> None:
    """Raises BadInput unless `value` ≥ `least`."""
    if not value >= least:
        raise BadInput(f"{field}={value}: must be at least {least}")
