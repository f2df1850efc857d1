"""Settings of a command: from `key=value` texts to a typed, checked dataclass."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from whatwhere.errors import BadInput, did_you_mean
from whatwhere.flags import is_hydras
from whatwhere.hints import hints_of

T = TypeVar("T")


def parse(config_module: str, config_name: str, settings: type[T], arguments: Sequence[str], config_dir: str | None = None) -> T:
    """The settings that `arguments` (`key=value` …) make of the defaults; `config_dir` may hold more files to choose from. Raises BadInput."""
    from whatwhere.overrides import override

    hints = hints_of(settings)
    groups = groups_of(config_module, hints, config_dir)
    return composed(config_module, config_name, settings, [override(argument, hints, groups) for argument in arguments], config_dir)


def groups_of(config_module: str, hints: Mapping[str, Any], config_dir: str | None = None) -> dict[str, list[str]]:
    """{option: names of the files of settings that it is chosen from}: those of the package, and those of the user's own folder."""
    roots = [folder_of(config_module), *([Path(config_dir)] if config_dir else [])]
    folders = [place for root in roots for place in root.iterdir() if place.name in hints and place.is_dir()]
    return {name: sorted({file.stem for place in folders if place.name == name for file in place.glob("*.yaml")}) for name in {place.name for place in folders}}


def folder_of(config_module: str) -> Path:
    """Where the files of defaults of a package lie."""
    return Path(str(importlib.import_module(config_module).__file__)).parent


def composed(config_module: str, config_name: str, settings: type[T], overrides: Sequence[str], config_dir: str | None = None) -> T:
    """The settings that `overrides` in Hydra's grammar make of the defaults. Raises BadInput."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from whatwhere.overrides import with_removals

    own = [f"hydra.searchpath=['file://{Path(config_dir).resolve()}']"] if config_dir else []
    try:
        with _another_hydra(), initialize_config_module(version_base="1.3", config_module=config_module):
            config = compose(config_name, overrides=[*with_removals(overrides), *own])
        values = OmegaConf.to_container(config, resolve=True)
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        if not (group and error.options):
            raise BadInput(f"{' '.join(overrides)}: {first_line(error)}") from None
        valid = [option for option in error.options if option != "__init__"]
        raise BadInput(f"{group}={name}: unknown; valid: {', '.join(valid)}{did_you_mean(name, valid)}") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(f"{' '.join(overrides)}: {first_line(error)}") from None
    except Exception as error:  # of an option of Hydra's own, about which it raises whatever comes
        words = [word for word in overrides if is_hydras(word)]
        if not words:
            raise
        raise BadInput(f"{' '.join(words)}: {first_line(error)}") from None
    return typed(settings, values)  # type: ignore[arg-type]


@contextlib.contextmanager
def _another_hydra() -> Iterator[None]:
    """Room for composing settings inside a job that Hydra runs: it allows one of itself at a time."""
    from hydra.core.global_hydra import GlobalHydra

    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = outer


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def typed(settings: type[T], values: Mapping[str, Any], hints: Mapping[str, Any] | None = None) -> T:
    """Builds the dataclass with every value turned into its annotated type and checked. Raises BadInput naming the option."""
    from whatwhere.reading import build  # not for --help

    return build(settings, values, hints)
