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

import contextlib
import importlib.util
import itertools
import logging
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from whatwhere.disk import why_not_writable
from whatwhere.errors import BadInput, Failed, is_of_this_machine, outside, positive
from whatwhere.parent import end_with_starter
from whatwhere.settings import check_keys, first_line, parse, typed

__all__ = ["command", "parse", "positive", "typed"]

T = TypeVar("T")

SWEEP = ("-m", "--multirun")
WITH_VALUE = ("-c", "--cfg", "-p", "--package", "-cd", "--config-dir", "--experimental-rerun", "-i", "--info")  # Hydra's flags that may take a word
FLAGS = (*SWEEP, *WITH_VALUE, "-h", "--help", "--hydra-help", "--version", "--resolve")
HYDRA = {  # Hydra's own folders and logs: a command's `out=` is the only place it writes to
    "hydra.run.dir": ".",
    "hydra.output_subdir": "null",
    "hydra.sweep.dir": "outputs/sweeps",
    "hydra.sweep.subdir": "${hydra.job.num}",
    "hydra/job_logging": "stdout",
}
CHECKED_JOBS = 200  # jobs of a sweep that are looked at before the first starts (~ 20 ms each)


def command(config_module: str, config_name: str, settings: type[T], main: Callable[[T], object], argv: Sequence[str] | None = None) -> None:
    """Composes `config_name`.yaml of the package `config_module` with the overrides in `argv` and calls `main(settings)`.

    `--help` prints the options; `-m` sweeps and the other flags are Hydra's own. Exits 2 with one line on BadInput, 130 on Ctrl-C, 1 on other failures:
    with one line for those of the work or of the machine (Failed, a full disk, …), with a traceback for those of the code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    end_with_starter()
    threading.excepthook = _in_a_thread
    try:
        _check_shadows()
        flags = _flags(arguments, settings)
        if "-h" in flags or "--help" in flags:
            _help(config_module, config_name, main)
        elif flags:
            _hydra(config_module, config_name, settings, main, arguments, sweep=not flags.isdisjoint(SWEEP))
        else:
            main(parse(config_module, config_name, settings, arguments))
        sys.stdout.flush()  # so that a closed pipe is noticed here
    except BadInput as error:
        _leave(str(error), 2)
    except KeyboardInterrupt:
        _leave("interrupted: the same command carries on where it stopped", 130)
    except BrokenPipeError:
        _silence()
        raise SystemExit(1) from None
    except Failed as error:
        _leave(str(error), 1)
    except OSError as error:
        if (line := outside(error)) is None:
            raise
        _leave(line, 1)


def named(arguments: Sequence[str], *names: str) -> list[str]:
    """Arguments of which the first bare words stand for the options `names`, in this order; everything else is left as it is."""
    left, out = iter(names), []
    for argument in arguments:
        name = None if "=" in argument.split("/")[0] or argument.startswith("-") else next(left, None)
        out.append(argument if name is None else f"{name}={argument}")
    return out


def _leave(line: str, code: int) -> typing.NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # it is the output that cannot be written
        _silence()
    with contextlib.suppress(OSError):
        print(" ".join(line.split()), file=sys.stderr, flush=True)
    raise SystemExit(code)


def _in_a_thread(failure: threading.ExceptHookArgs) -> None:
    """A full disk that a thread meets, as TensorBoard's, is told by the work that hands it things: not twice, and not as a traceback."""
    if failure.exc_value is None or not is_of_this_machine(failure.exc_value):
        threading.__excepthook__(failure)


def _silence() -> None:
    """Nobody hears what is printed any more: so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_shadows() -> None:
    """Raises BadInput if a folder of the user's named like one of our packages would be imported in its place."""
    home = Path(__file__).resolve().parents[1]
    for name in ("policy", "envs", "eval"):
        spec = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if home / name not in places:
            found = places[0] if places else getattr(spec, "origin", None) or "nothing"
            raise BadInput(f"{name}: python finds {found}, not {home / name}; rename that folder or run from another one")


def _flags(arguments: Sequence[str], settings: type[Any]) -> set[str]:
    """The flags among `arguments`. Raises BadInput for an unknown one."""
    found = {argument.split("=", 1)[0] for argument in arguments if argument.startswith("-")}
    for flag in sorted(found - set(FLAGS)):
        name = flag.lstrip("-").replace("-", "_")
        hint = f"; write {name}=…" if name in typing.get_type_hints(settings) else "; options are written key=value"
        raise BadInput(f"{flag}: no such flag{hint} (flags: -m for a sweep, --help, --hydra-help)")
    return found


def _help(config_module: str, config_name: str, main: Callable[[T], object]) -> None:
    """Prints what the command does and its options: the YAML of defaults with its comments is the reference."""
    spec = sys.modules[main.__module__].__spec__
    text = (sys.modules[main.__module__].__doc__ or main.__doc__ or "").strip()
    module = spec.name.removesuffix(".__main__") if spec else main.__module__
    defaults = resources.files(config_module).joinpath(f"{config_name}.yaml").read_text(encoding="utf-8")
    options = re.split(r"^(?:hydra|defaults):", defaults, maxsplit=1, flags=re.MULTILINE)[0].strip()  # Hydra's own part comes last
    print(f"python -m {module} key=value …\n\n{text}\n\nOptions and their defaults:\n")
    print("\n".join(f"  {line}" for line in options.splitlines()))
    print("\nA sweep: -m key=a,b,c (one after the other; hydra/launcher=joblib runs them side by side). Hydra's own flags: --hydra-help.")


def _hydra(config_module: str, config_name: str, settings: type[T], main: Callable[[T], object], arguments: list[str], sweep: bool) -> None:
    """Hydra's own flags, among them sweeps with `-m` and its launchers. Raises BadInput, before any job starts where possible."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    hints = typing.get_type_hints(settings)  # here, since a launcher's worker does not know the annotations' names

    def job(config: Any) -> None:
        if multiprocessing.get_start_method(allow_none=True) == "loky":  # joblib's workers name a way that their own children do not know
            multiprocessing.set_start_method("spawn", force=True)
        main(typed(settings, OmegaConf.to_container(config, resolve=True), hints))  # type: ignore[arg-type]

    if sweep:
        overrides = _overrides(arguments)
        check_keys(overrides, list(hints))
        for job_overrides in itertools.islice(_jobs(overrides), CHECKED_JOBS):
            parse(config_module, config_name, settings, job_overrides)
    given = {argument.split("=", 1)[0].lstrip("+") for argument in arguments}
    logging.raiseExceptions = False  # where nothing can be printed: Hydra's own lines fail without a traceback each
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # makes Hydra raise rather than print and exit 1
    before = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="whatwhere-") as elsewhere:
        places = {"hydra.sweep.dir": elsewhere} if sweep and why_not_writable(HYDRA["hydra.sweep.dir"]) else {}  # out= may well be writable
        own = [f"{key}={value}" for key, value in {**HYDRA, **places, "hydra.job.name": config_name}.items() if key not in given]
        sys.argv[1:] = [*arguments, *own]
        try:
            hydra.main(version_base="1.3", config_path=f"pkg://{config_module}", config_name=config_name)(job)()
        except (HydraException, OmegaConfBaseException) as error:
            raise BadInput(f"{' '.join(arguments)}: {first_line(error)}") from None
        finally:
            sys.argv[1:] = before


def _overrides(arguments: Sequence[str]) -> list[str]:
    """`arguments` without flags and without the words that belong to flags."""
    before = ("", *arguments)
    return [word for word, left in zip(arguments, before, strict=False) if not word.startswith("-") and ("=" in word or left not in WITH_VALUE)]


def _jobs(overrides: Sequence[str]) -> Iterator[list[str]]:
    """The overrides of each job of a sweep (`a=1,2 b=3` gives `a=1 b=3`, then `a=2 b=3`), leaving out Hydra's own options."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    choices = []
    try:
        for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
            key = override.get_key_element()
            if not key.lstrip("+~").startswith("hydra"):
                choices.append([f"{key}={value}" for value in override.sweep_string_iterator()] if override.is_sweep_override() else [text])
    except HydraException as error:
        raise BadInput(f"{' '.join(overrides)}: {first_line(error)}") from None
    return (list(job) for job in itertools.product(*choices))
