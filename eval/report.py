"""`python -m eval.report folders=outputs/eval`: puts many result folders in one table, with tests against a baseline, and maps of the error.

Writes report.csv, .tex, .md and pictures into `out` (and trainings.csv, .tex, .md if something was trained with several seeds). With `page=true` it writes
everything and videos as one page (page.html), with `into=docs/results.md block=NAME` the tables into that marked block. Every number is computed from the rows.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from eval.reports import evaluations, tables, trainings
from eval.reports.entries import Entry, collect, find
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OutputFile, OutputFolder, Range, Text
from whatwhere.options import options
from whatwhere.pieces import spelled


@options
class Settings:
    folders: Annotated[tuple[InputPath, ...], Length(1, 10_000)]
    baseline: Annotated[str, Text("an encoder, policy or folder name", 255)] | None
    out: OutputFolder | None
    into: OutputFile | None
    block: Annotated[str, Text("the name of a marked block", 100)] | None
    pictures: bool
    page: bool = False
    videos: Annotated[int, Range(0, 1000)] = 3

    def __post_init__(self) -> None:
        if self.page and self.out is None:
            raise BadInput("page=true: is written into a folder; leave out=null out")
        if (self.into is None) != (self.block is None):
            raise BadInput("into, block: give both (a document and the name of its marked block) or none")


def main(settings: Settings) -> None:
    if settings.out is not None:
        check_writable("out", settings.out)
    if settings.into is not None and settings.block is not None:
        check_writable("into", Path(settings.into).parent)
        tables.parts(settings.into, settings.block)
    entries = collect(find(settings.folders), settings.baseline)
    found = make_tables(entries, settings.baseline, "report")
    text = publish(entries, settings.baseline, settings.out, "report", found)
    pictures = _draw(entries, Path(settings.out)) if settings.out is not None and settings.pictures else {}
    if settings.out is not None and settings.page:
        _write_page(settings, entries, found, pictures)
    if settings.into is not None and settings.block is not None:
        tables.rewrite_block(settings.into, settings.block, text)
        print(f"rewrote the block {settings.block} of {settings.into}")


def make_tables(entries: Sequence[Entry], baseline: str | None, name: str) -> dict[str, tables.Table]:
    """The table of single trainings, called `name`, and, where there are several of a recipe, that over trainings."""
    found = {name: evaluations.make_table(entries, baseline)}
    if (over_trainings := trainings.make_table(entries, baseline)) is not None:
        found["trainings"] = over_trainings
    return found


def publish(entries: Sequence[Entry], baseline: str | None, out: str | None, name: str, found: dict[str, tables.Table] | None = None) -> str:
    """Prints the tables (those of `make_tables`, unless they are given), writes them into `out`, and returns them as Markdown."""
    found = found or make_tables(entries, baseline, name)
    print("\n\n".join(map(tables.terminal, found.values())))
    if out is not None:
        for title, table in found.items():
            tables.write(table, out, title)
            print(f"wrote {title}.csv, {title}.tex and {title}.md to {out}")
    return "\n\n".join(map(tables.markdown, found.values()))


def _draw(entries: Sequence[Entry], out: Path) -> dict[str, Path]:
    """Returns the pictures that were drawn, by what they show."""
    from eval.reports import curves, maps

    drawn = {}
    if any(maps.is_placed(entry.rows) for entry in entries):
        drawn["Position error over the workspace, in the order of the evaluations"] = maps.draw(entries, out / "spatial_error.png")
    else:
        print("no maps: no row says where its target lay")
    for along, name in ((curves.DEMOS, "demos"), (curves.LATENCY, "latency")):
        if curves.has_curves(entries, along):
            drawn[f"Success and error against {along.label}"] = curves.draw(entries, out / f"success_by_{name}.png", along)
    for path in drawn.values():
        print(f"wrote {path}")
    return drawn


def _write_page(settings: Settings, entries: Sequence[Entry], found: dict[str, tables.Table], pictures: dict[str, Path]) -> None:
    from eval.reports import study_page

    titles = {"report": "Evaluations, each over its starts", "trainings": "Recipes, over trainings and starts"}
    given = [(field.name, getattr(settings, field.name)) for field in fields(settings) if field.name not in ("into", "block")]
    command = " ".join(["python -m eval.report", *(shlex.quote(spelled(name, value)) for name, value in given if value is not None)])
    path = Path(str(settings.out)) / "page.html"
    shown = {titles[name]: table for name, table in found.items()}
    count, left_out = study_page.write(entries, shown, pictures, path, settings.videos, settings.baseline, command)
    print("\n".join([*left_out, f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB, {counted(count, 'video')})"]))


if __name__ == "__main__":
    command("eval.conf", "report", Settings, main)
