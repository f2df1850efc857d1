"""`python -m envs.demos.inspect demos=…`: summarises demonstrations, with warnings, as a table and one self-contained HTML page.

Reads every format that `envs.demos.convert` knows, one demonstration at a time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from envs.demos.formats import Reading, open_source
from envs.demos.inspection.coverage import Coverage, coverage
from envs.demos.inspection.page import origins, page
from envs.demos.inspection.summary import Summary, summarise
from envs.demos.inspection.warnings import warnings
from envs.options import Names, ScaledPixels
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import write_text
from whatwhere.kinds import InputPath, OutputFile, Range
from whatwhere.options import options

PRINTED = 20  # warnings


@options
class Settings:
    """What `envs/conf/inspect.yaml` describes. Raises BadInput for values that cannot be."""

    demos: InputPath
    out: OutputFile | None
    starts: Annotated[int, Range(0, 10_000)]
    pictures: Annotated[int, Range(1, 1000)]
    cameras: Names | None
    proprio: Names | None
    size: ScaledPixels | None

    @property
    def page(self) -> Path:
        demos = Path(os.path.normpath(self.demos))
        return Path(self.out or f"outputs/inspect/{'-'.join(part for part in demos.parts[-3:] if part not in ('/', '..', 'data'))}.html")


def table(summaries: Sequence[Summary]) -> str:
    """What is printed: a line a demonstration."""
    wide = max(len(summary.name) for summary in summaries)
    lines = [f"{'':{wide}}  steps  seconds  success  idle  frozen  seed/episode  instruction"]
    for summary in summaries:
        settings, idle = summary.settings, summary.idle[1] if summary.idle else 0
        frozen = max((count for _, count in summary.frozen.values()), default=0)
        start = f"{settings['seed']}/{settings['episode']}" if settings["seed"] is not None else "–"
        seconds = summary.steps / settings["control_hz"]
        success = "yes" if summary.success else "NO"
        lines.append(f"{summary.name:{wide}}  {summary.steps:5}  {seconds:7.1f}  {success:>7}  {idle:4}  {frozen:6}  {start:>12}  {summary.instruction[:60]}")
    return "\n".join(lines)


def main(settings: Settings) -> None:
    check_writable("out", settings.page.parent)
    reading = Reading(cameras=settings.cameras, proprio=settings.proprio, size=settings.size, as_is=True)
    with open_source(settings.demos, reading) as source:
        summaries = [summarise(source.name(index), source.episode(index), settings.pictures) for index in range(len(source))]
    print(table(summaries))
    for control in dict.fromkeys(summary.settings["control"] for summary in summaries if "control" in summary.settings):
        print(f"control: {control}")
    if made_of := origins(summaries):
        print(f"multiplied: {made_of}")
    positions = where(summaries, settings.starts)
    warned = warnings(summaries)
    write_text(settings.page, page(settings.demos, summaries, warned, positions))
    for line in warned[:PRINTED]:
        print(f"warning: {line}")
    if len(warned) > PRINTED:
        print(f"warning: and {len(warned) - PRINTED} more, on the page")
    print(positions.line() if isinstance(positions, Coverage) else positions)
    steps, won = [summary.steps for summary in summaries], sum(summary.success for summary in summaries)
    spread = f"{min(steps)} – {np.median(steps):g} – {max(steps)}"
    print(f"{counted(len(summaries), 'demonstration')} · {counted(sum(steps), 'step')} ({spread}) · {won} with success · page: {settings.page}")


def where(summaries: Sequence[Summary], num_starts: int) -> Coverage | str:
    """The map of starts, or why there is none; that a simulator does not run here is no reason to show nothing at all."""
    if num_starts == 0:
        return "no map: starts=0"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whatwhere" / "starts"
    try:
        return coverage(summaries, num_starts, cache)
    except (BadInput, Failed, ImportError) as error:
        return f"no map: {error}"


if __name__ == "__main__":
    command("envs.conf", "inspect", Settings, main, bare=("demos",))
