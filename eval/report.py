"""`python -m eval.report folders=outputs/eval`: many result folders in one table, with tests against a baseline, and maps of the error.

Writes report.csv, .tex, .md and pictures into `out` (and trainings.csv, .tex, .md where something was trained with several seeds), and with
`into=docs/results.md block=NAME` the tables into that marked block. Every number is counted afresh from rows.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.reports import tables, trainings
from eval.results import CONDITIONS, ROWS, load
from eval.score import Row, compare, holm, pairs
from whatwhere.command import command
from whatwhere.errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Settings:
    folders: str | list[str]
    baseline: str | None
    out: str | None
    into: str | None
    block: str | None
    pictures: bool

    def __post_init__(self) -> None:
        if (self.into is None) != (self.block is None):
            raise BadInput("into, block: give both (a document and the name of its marked block) or none")


@dataclass
class Entry:
    """One result folder in a table."""

    folder: Path
    rows: list[Row]
    results: dict[str, Any]
    p: float | None = None
    p_holm: float | None = None
    difference: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The encoder of a learned policy; otherwise the policy."""
        policy = self.results["policy"] or "learned"
        return str(self.results["encoder"] if policy == "learned" else policy)

    @property
    def task(self) -> str:
        return str(self.results["task"])

    @property
    def group(self) -> tuple[str, str, int]:
        """What entries that are tested against each other have in common: task, perturbation, number of demonstrations."""
        return self.task, self.results.get("perturbation") or "", self.results.get("num_demos") or 0


def find(folders: str | Sequence[str]) -> list[Path]:
    """Result folders among names of folders, of folders that hold them at any depth, and glob patterns. Raises BadInput where one gives nothing."""
    found: dict[Path, None] = {}
    for pattern in [folders] if isinstance(folders, str) else folders:
        inside = sorted(path.parent for match in glob.glob(pattern, recursive=True) for path in Path(match).rglob(ROWS))
        if not inside:
            raise BadInput(f"folders={pattern}: no result folder there (none holds {ROWS})")
        found |= dict.fromkeys(inside)
    return list(found)


def collect(folders: Iterable[str | Path], baseline: str | None = None) -> list[Entry]:
    """Entries ordered by task, perturbation and number of demonstrations, best first.

    Each is tested against the `baseline` (an encoder, policy or folder name) of its own task and conditions, where there is one.
    """
    entries = [Entry(Path(folder), *load(folder)) for folder in folders]
    entries.sort(key=lambda entry: (entry.group, -entry.results["success"]["rate"], entry.name))
    if baseline is None:
        return entries
    names = [name for entry in entries for name in (entry.name, entry.folder.name)]
    if baseline not in names:
        raise BadInput(f"baseline={baseline}: not among the folders; there are {', '.join(dict.fromkeys(names))}{did_you_mean(baseline, names)}")
    for group in dict.fromkeys(entry.group for entry in entries):
        _test([entry for entry in entries if entry.group == group], baseline)
    return entries


def _test(entries: list[Entry], baseline: str) -> None:
    """McNemar of each entry of one group against the baseline of the same training seed (or the only one), over the same streams if there is one; then Holm."""
    bases = [entry for entry in entries if baseline in (entry.name, entry.folder.name)]
    tested = []
    for entry in entries:
        same = [base for base in bases if len(bases) == 1 or base.results["train_seed"] == entry.results["train_seed"]]
        base = sorted(same, key=lambda base: base.results.get("streams") != entry.results.get("streams"))[:1]
        paired = pairs(entry.rows, base[0].rows) if base and entry not in bases else []
        if paired:
            entry.difference = compare(paired)
            entry.p = entry.difference["success"]["mcnemar_p"]
            tested.append(entry)
    for entry, p in zip(tested, holm([entry.p for entry in tested if entry.p is not None]), strict=True):
        entry.p_holm = p


def make_table(entries: Sequence[Entry], baseline: str | None = None) -> tables.Table:
    """The table of the entries; columns without any value, and conditions that are the same for all, are left out of what people read."""
    records = [_record(entry) for entry in entries]
    columns = {title: [write(record) for record in records] for title, write in COLUMNS.items()}
    shown = {title: cells for title, cells in columns.items() if (len(set(cells)) > 1 if title in VARYING else any(cells))}
    notes = ["Success with Wilson 95 % intervals, median error with bootstrap 95 % intervals: over starts, not over trainings."]
    if baseline is not None:
        notes.append(f"p: exact McNemar test against {baseline} over common starts; p (Holm): corrected for the comparisons of that task and its conditions.")
    return tables.Table(tuple(shown), list(zip(*shown.values(), strict=True)), records, notes)


def _record(entry: Entry) -> dict[str, Any]:
    """One row of the CSV."""
    results = entry.results
    success, error = results["success"], results["position_error_cm"]
    median_ci = error["ci95"] or (None, None)
    return {
        "task": entry.task, **{name: results.get(name) for name in CONDITIONS},
        "policy": entry.name, "checkpoint": results["checkpoint"], "train_seed": results["train_seed"], "seed": results["seed"],
        "episodes": results["episodes"], "success": success["rate"], "success_low": success["ci95"][0], "success_high": success["ci95"][1],
        "error_cm_median": error["median"], "error_cm_low": median_ci[0], "error_cm_high": median_ci[1], "error_cm_p90": error["p90"],
        **{f"within_{limit}_cm": rate for limit, rate in error["within_cm"].items()},
        "relation": results["relation_rate"], "freeze": results["freeze_rate"],
        "common_starts": entry.difference.get("starts"), "p": entry.p, "p_holm": entry.p_holm,
    }  # fmt: skip


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return "" if value is None else f"{_number(value)} [{_number(low)}, {_number(high)}]"


def p_text(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


COLUMNS: dict[str, Any] = {
    **trainings.WHAT,
    "train seed": lambda r: "" if r["train_seed"] is None else str(r["train_seed"]),
    "episodes": lambda r: str(r["episodes"]),
    "success %": lambda r: f"{_percent(r['success'])} [{_percent(r['success_low'])}, {_percent(r['success_high'])}]",
    "error cm (median)": lambda r: _with_interval(r["error_cm_median"], r["error_cm_low"], r["error_cm_high"]),
    "p90 cm": lambda r: _number(r["error_cm_p90"]),
    "≤ 1 cm %": lambda r: _percent(r["within_1_cm"]),
    "relation %": lambda r: _percent(r["relation"]),
    "froze %": lambda r: _percent(r["freeze"]),
    "p": lambda r: p_text(r["p"]),
    "p (Holm)": lambda r: p_text(r["p_holm"]),
}


VARYING = ("perturbation", "demos", "streams", "train seed")


def main(settings: Settings) -> None:
    if not settings.folders:
        raise BadInput("folders: missing; give folders=outputs/eval, a glob, or folders=[A,B]")
    entries = collect(find(settings.folders), settings.baseline)
    text = publish(entries, settings.baseline, settings.out, "report")
    if settings.out is not None and settings.pictures:
        _draw(entries, Path(settings.out))
    if settings.into is not None and settings.block is not None:
        tables.rewrite_block(settings.into, settings.block, text)
        print(f"rewrote the block {settings.block} of {settings.into}")


def publish(entries: Sequence[Entry], baseline: str | None, out: str | None, name: str) -> str:
    """Prints the table of single trainings and, where there are several of a recipe, that over trainings; writes both into `out`; returns both as Markdown."""
    found = {name: make_table(entries, baseline)}
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
