"""`python -m eval.report folders=outputs/eval`: puts many result folders in one table, with tests against a baseline, and draws maps of the error.

Writes report.csv, .tex, .md and pictures into `out` (and trainings.csv, .tex, .md where something was trained with several seeds), and with
`into=docs/results.md block=NAME` the tables into that marked block. Every number is counted from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from eval.reports import evaluations, tables, trainings
from eval.reports.entries import Entry, collect, find
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OutputFile, OutputFolder, Text
from whatwhere.options import options


@options
class Settings:
    folders: Annotated[tuple[InputPath, ...], Length(1, 10_000)]
    baseline: Annotated[str, Text("an encoder, policy or folder name", 255)] | None
    out: OutputFolder | None
    into: OutputFile | None
    block: Annotated[str, Text("the name of a marked block", 100)] | None
    pictures: bool

    def __post_init__(self) -> None:
        if (self.into is None) != (self.block is None):
            raise BadInput("into, block: give both (a document and the name of its marked block) or none")


def main(settings: Settings) -> None:
    if settings.out is not None:
        check_writable("out", settings.out)
    if settings.into is not None:
        check_writable("into", Path(settings.into).parent)
    entries = collect(find(settings.folders), settings.baseline)
    text = publish(entries, settings.baseline, settings.out, "report")
    if settings.out is not None and settings.pictures:
        _draw(entries, Path(settings.out))
    if settings.into is not None and settings.block is not None:
        tables.rewrite_block(settings.into, settings.block, text)
        print(f"rewrote the block {settings.block} of {settings.into}")


def publish(entries: Sequence[Entry], baseline: str | None, out: str | None, name: str) -> str:
    """Prints the table of single trainings and, where there are several of a recipe, that over trainings; writes both into `out`; returns both as Markdown."""
    found = {name: evaluations.make_table(entries, baseline)}
    if (over_trainings := trainings.make_table(entries, baseline)) is not None:
        found["trainings"] = over_trainings
    print("\n\n".join(map(tables.terminal, found.values())))
    if out is not None:
        for title, table in found.items():
            tables.write(table, out, title)
            print(f"wrote {title}.csv, {title}.tex and {title}.md to {out}")
    return "\n\n".join(map(tables.markdown, found.values()))


def _draw(entries: Sequence[Entry], out: Path) -> None:
    from eval.reports import curves, maps

    if any(maps.is_placed(entry.rows) for entry in entries):
        print(f"wrote {maps.draw(entries, out / 'spatial_error.png')}")
    else:
        print("no maps: no row says where its target lay")
    if curves.has_curves(entries):
        print(f"wrote {curves.draw(entries, out / 'success_by_demos.png')}")


if __name__ == "__main__":
    command("eval.conf", "report", Settings, main)
