"""`python -m envs.demos.inspect demos=…`: a table of what demonstrations hold and what is odd about them, and one self-contained HTML page.

Reads every format that `envs.demos.convert` knows, one demonstration at a time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.demos.formats import Reading, open_source
from envs.demos.inspection.coverage import Coverage, coverage
from envs.demos.inspection.page import page
from envs.demos.inspection.summary import Summary, summarise
from envs.demos.inspection.warnings import warnings
from whatwhere.command import command, named, positive
from whatwhere.errors import BadInput
from whatwhere.files import write_text

PRINTED = 20  # warnings


@dataclass(frozen=True)
class Settings:
    """What `envs/conf/inspect.yaml` describes. Raises BadInput for values that cannot be."""

    demos: str
    out: str | None
    starts: int
    pictures: int
    cameras: tuple[str, ...] | None
    proprio: tuple[str, ...] | None
    size: int | None

    def __post_init__(self) -> None:
        positive("starts", self.starts, 0)
        positive("pictures", self.pictures)
        positive("size", 16 if self.size is None else self.size, 16)
        for name in ("cameras", "proprio"):
            if getattr(self, name) == ():
                raise BadInput(f"{name}=[]: name at least one")
        if self.out is not None and Path(self.out).is_dir():
            raise BadInput(f"out={self.out}: is a folder; name the page, as in {self.out}/demos.html")

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
    reading = Reading(cameras=settings.cameras, proprio=settings.proprio, size=settings.size, as_is=True)
    with open_source(settings.demos, reading) as source:
        summaries = [summarise(source.name(index), source.episode(index), settings.pictures) for index in range(len(source))]
    print(table(summaries))
    for control in dict.fromkeys(summary.settings["control"] for summary in summaries if "control" in summary.settings):
        print(f"control: {control}")
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
    print(f"{len(summaries)} demonstrations · {sum(steps)} steps ({spread}) · {won} with success · page: {settings.page}")


def where(summaries: Sequence[Summary], num_starts: int) -> Coverage | str:
    """The map of starts, or why there is none; that a simulator does not run here is no reason to show nothing at all."""
    if num_starts == 0:
        return "no map: starts=0"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whatwhere" / "starts"
    try:
        return coverage(summaries, num_starts, cache)
    except (BadInput, ImportError) as error:
        return f"no map: {error}"


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "1")
    command("envs.conf", "inspect", Settings, main, named(sys.argv[1:], "demos"))
