"""A table as text: for the terminal, Markdown, CSV and LaTeX, and into a marked block of a document."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whatwhere.errors import BadInput
from whatwhere.files import write_text
from whatwhere.look import read


@dataclass(frozen=True)
class Table:
    """What people read (`header`, `cells`, `notes`), and beside it the bare numbers for machines (`records`, one dict a row, the same keys)."""

    header: tuple[str, ...]
    cells: list[tuple[str, ...]]
    records: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def terminal(table: Table) -> str:
    """Columns lined up; the first to the left, the others to the right."""
    rows = (table.header, *table.cells)
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join([*lines, *table.notes])


def markdown(table: Table) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"

    rule = "|---|" + "---:|" * (len(table.header) - 1)
    notes = ["", *[f"{note}  " for note in table.notes]] if table.notes else []
    return "\n".join([line(table.header), rule, *map(line, table.cells), *notes]).rstrip()


def as_csv(table: Table) -> str:
    """The bare numbers, unrounded; empty where there is none."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(table.records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return out.getvalue()


LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "≤": r"$\leq$", "≥": r"$\geq$", "<": r"$<$", ">": r"$>$", "−": "$-$", "·": r"$\cdot$", "–": "--", "×": r"$\times$",
}  # fmt: skip


def latex(table: Table) -> str:
    """A `tabular` with booktabs rules, to be read in with \\input."""

    def line(row: Sequence[str]) -> str:
        return " & ".join("".join(LATEX_SIGNS.get(sign, sign) for sign in text) for text in row) + r" \\"

    notes = [f"% {note}" for note in table.notes]
    head = [r"\begin{tabular}{l" + "r" * (len(table.header) - 1) + "}", r"\toprule", line(table.header), r"\midrule"]
    return "\n".join([*notes, *head, *map(line, table.cells), r"\bottomrule", r"\end{tabular}"])


def write(table: Table, folder: str | Path, name: str = "table") -> None:
    """`name`.csv, .tex and .md in `folder`."""
    for ending, text in (("csv", as_csv(table)), ("tex", latex(table) + "\n"), ("md", markdown(table) + "\n")):
        write_text(Path(folder) / f"{name}.{ending}", text)


def rewrite_block(path: str | Path, name: str, text: str) -> None:
    """Puts `text` between `<!-- begin:name -->` and `<!-- end:name -->` of a document. Raises BadInput as `parts` does."""
    before, after = parts(path, name)
    write_text(path, f"{before}\n{text}\n{after}")


def parts(path: str | Path, name: str) -> tuple[str, str]:
    """A document up to the mark that begins a block, and from the mark that ends it. Raises BadInput if the marks are not there exactly once."""
    path = Path(path)
    try:
        document = read(path, "text file").decode()
    except BadInput as error:
        raise BadInput(f"into={error}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"into={path}: not a text in UTF-8 ({error})") from None
    begin, end = f"<!-- begin:{name} -->", f"<!-- end:{name} -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        names = re.findall(r"<!-- begin:(.+?) -->", document)
        raise BadInput(f"{path}: needs the marks {begin} and {end} once each; blocks found: {', '.join(names) or 'none'}")
    return document[: document.index(begin) + len(begin)], document[document.index(end) :]
