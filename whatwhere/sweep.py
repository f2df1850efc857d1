"""Sweeps (`-m`) and what else is Hydra's own work: its launchers, its sweepers, and printing what a configuration is."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TextIO, TypeVar

from whatwhere.disk import why_not_writable
from whatwhere.errors import BadInput
from whatwhere.flags import Words, is_hydras
from whatwhere.hints import hints_of
from whatwhere.kinds import OutputFolder, Range
from whatwhere.overrides import choices, override, with_removals
from whatwhere.parent import end_with
from whatwhere.reading import check, read
from whatwhere.settings import composed, first_line, groups_of, typed

T = TypeVar("T")

OWN = {  # Hydra's own folders and logs: a command's `out=` is the only place it writes to
    "hydra.run.dir": ".",
    "hydra.output_subdir": "null",
    "hydra.sweep.dir": "outputs/sweeps",
    "hydra.sweep.subdir": "${hydra.job.num}",
    "hydra/job_logging": "stdout",
}
CHECKED = {"hydra.run.dir": OutputFolder, "hydra.sweep.dir": OutputFolder, "hydra.sweep.subdir": OutputFolder}
CHECKED |= {"hydra.launcher.n_jobs": Annotated[int, Range(-1, 256)]}  # of joblib: processes; -1: one a core
CHECKED_JOBS = 200  # jobs of a sweep that are looked at before the first starts (~ 20 ms each)
MOST_JOBS = 10_000


def sweep(config_module: str, config_name: str, settings: type[T], main: Callable[[T], object], words: Words) -> None:
    """Runs `main` for every combination of the values. Raises BadInput, before any job starts where possible."""
    hints = hints_of(settings)
    config_dir = words.flags.get("--config-dir")
    groups = groups_of(config_module, hints, config_dir)
    every = [choices(argument, hints, groups) for argument in words.options]
    if math.prod(map(len, every)) > MOST_JOBS:
        raise BadInput(f"{' '.join(words.options)}: more than {MOST_JOBS} jobs")
    ours = [each for each in every if not is_hydras(each[0])]
    first = [composed(config_module, config_name, settings, job, config_dir) for job in itertools.islice(itertools.product(*ours), CHECKED_JOBS)]
    if len(ours) == len(every) and len(first) == 1:
        main(first[0])  # nothing to sweep over
        return
    joined = [f"{each[0].partition('=')[0]}={','.join(one.partition('=')[2] for one in each)}" for each in every]

    def job(config: Any) -> None:
        from omegaconf import OmegaConf

        if multiprocessing.get_start_method(allow_none=True) == "loky":  # joblib's workers name a way that their own children do not know
            multiprocessing.set_start_method("spawn", force=True)
            end_with(os.getppid())
        main(typed(settings, OmegaConf.to_container(config, resolve=True)))  # type: ignore[arg-type]

    _hydra(config_module, config_name, job, joined, words)


def show(config_module: str, config_name: str, settings: type[T], main: Callable[[T], object], words: Words) -> None:
    """What `--cfg` and Hydra's other printing flags print. Raises BadInput."""
    hints = hints_of(settings)
    groups = groups_of(config_module, hints, words.flags.get("--config-dir"))
    overrides = [override(argument, hints, groups) for argument in words.options]
    try:
        _hydra(config_module, config_name, main, overrides, words)
    except SystemExit as error:  # Hydra has said why
        raise SystemExit(2 if error.code else 0) from None


def _hydra(config_module: str, config_name: str, job: Callable[[Any], object], overrides: Sequence[str], words: Words) -> None:
    import hydra

    given = dict(argument.lstrip("+").split("=", 1) for argument in overrides)
    for key, hint in CHECKED.items():
        if key in given:
            check(key, read(key, given[key], hint), hint)
    flags = [flag if word is None else f"{flag}={word}" for flag, word in words.flags.items()]
    logging.raiseExceptions = False  # where nothing can be printed: Hydra's own lines fail without a traceback each
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # makes Hydra raise rather than print and exit 1
    before = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="whatwhere-") as elsewhere:
        places = {"hydra.sweep.dir": elsewhere} if "--multirun" in words.flags and why_not_writable(OWN["hydra.sweep.dir"]) else {}  # out= may well be writable
        own = [f"{key}={value}" for key, value in {**OWN, **places, "hydra.job.name": config_name}.items() if key not in given]
        sys.argv[1:] = [*with_removals(overrides), *own, *flags]
        with _as_bad_input([*words.options, *flags]):
            try:
                with contextlib.redirect_stderr(_WithoutJobs(sys.stderr)):  # type: ignore[type-var]
                    hydra.main(version_base="1.3", config_path=f"pkg://{config_module}", config_name=config_name)(job)()
            finally:
                sys.argv[1:] = before


class _WithoutJobs:
    """Standard error, but for Hydra's line about a job that failed: the error itself is told, in one line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith("Error executing job with overrides") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _as_bad_input(words: Sequence[str]) -> Iterator[None]:
    """What Hydra says of the words that it was given, as BadInput."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(f"{' '.join(words)}: {first_line(error)}") from None
    except Exception as error:
        if any(is_hydras(word) for word in words) and not _is_of_a_job(error):  # about its own options Hydra raises whatever comes
            raise BadInput(f"{' '.join(words)}: {first_line(error)}") from None
        raise


def _is_of_a_job(error: BaseException) -> bool:
    """Whether an error was raised by a job, here or in another process, and not by what Hydra does before and after."""
    from hydra.core.utils import JobReturn

    passed_on: Any = JobReturn.return_value
    return passed_on.fget.__code__ in [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
