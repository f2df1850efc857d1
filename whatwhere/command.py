"""The command line of every module: Hydra's grammar and sweeps, but bad input is one line and exit code 2.

A command is a dataclass of settings, a YAML of defaults beside it, and a function:

    @options
    class Settings:
        policy: Annotated[str, OneOf("expert", "random")]
        episodes: Annotated[int, Range(1, 1000)]     # whatwhere.kinds: what it may be is checked, and shown by --help
        out: OutputFolder | None
        def __post_init__(self): ...                 # raise BadInput for what only values together can be wrong in

    All of it is checked before anything heavy is imported.

    def main(settings: Settings) -> None: ...

    if __name__ == "__main__":
        command("eval.conf", "run", Settings, main)
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from whatwhere.errors import BadInput, Failed, is_of_this_machine, one_line, out_of_memory, outside, positive
from whatwhere.flags import PRINTING, sort
from whatwhere.hints import hints_of
from whatwhere.parent import end_with_starter
from whatwhere.settings import parse, typed

__all__ = ["command", "parse", "positive", "typed"]

T = TypeVar("T")


def command(
    config_module: str,
    config_name: str,
    settings: type[T],
    main: Callable[[T], object],
    argv: Sequence[str] | None = None,
    bare: Sequence[str] = (),
) -> None:
    """Composes `config_name`.yaml of the package `config_module` with the overrides in `argv` and calls `main(settings)`.

    The first bare words in `argv` stand for the options `bare`. `--help` prints the options; `-m` sweeps and the other flags are Hydra's own.
    Exits 2 with one line on BadInput, 130 on Ctrl-C, 1 on other failures: with one line for those of the work or of the machine (Failed, a full disk, …),
    with a traceback for those of the code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    end_with_starter()
    threading.excepthook = _in_a_thread
    try:
        _check_shadows()
        _check_encoding(arguments)
        words = sort(arguments, hints_of(settings), bare)
        if "--help" in words.flags:
            from whatwhere.usage import usage

            print(usage(config_module, config_name, settings, main, bare))
        elif not words.flags.keys() - {"--config-dir"}:
            main(parse(config_module, config_name, settings, words.options, words.flags.get("--config-dir")))
        else:
            from whatwhere import sweep

            run = sweep.show if not words.flags.keys().isdisjoint(PRINTING) else sweep.sweep
            run(config_module, config_name, settings, main, words)
        sys.stdout.flush()  # so that a closed pipe is noticed here
    except BadInput as error:
        _leave(one_line(str(error), arguments), 2)
    except KeyboardInterrupt:
        _leave("interrupted: the same command carries on where it stopped", 130)
    except BrokenPipeError:
        _silence()
        raise SystemExit(1) from None
    except Failed as error:
        _leave(one_line(str(error), arguments), 1)
    except OSError as error:
        if (line := outside(error)) is None:
            raise
        _leave(one_line(line, arguments), 1)
    except (MemoryError, RuntimeError) as error:
        if (line := out_of_memory(error)) is None:
            raise
        _leave(one_line(line, arguments), 1)


def _leave(line: str, code: int) -> typing.NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # it is the output that cannot be written
        _silence()
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _in_a_thread(failure: threading.ExceptHookArgs) -> None:
    """A full disk that a thread meets, as TensorBoard's, is told by the work that hands it things: not twice, and not as a traceback."""
    if failure.exc_value is None or not is_of_this_machine(failure.exc_value):
        threading.__excepthook__(failure)


def _silence() -> None:
    """Nobody hears what is printed any more: so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_encoding(arguments: Sequence[str]) -> None:
    """Raises BadInput for a word with bytes that are no text: it could be neither shown nor written down."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{argument}: its bytes are not UTF-8; rename what it names") from None


def _check_shadows() -> None:
    """Raises BadInput if a folder of the user's named like one of our packages would be imported in its place."""
    home = Path(__file__).resolve().parents[1]
    for name in ("policy", "envs", "eval"):
        spec = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if home / name not in places:
            found = places[0] if places else getattr(spec, "origin", None) or "nothing"
            raise BadInput(f"{name}: python finds {found}, not {home / name}; rename that folder or run from another one")
