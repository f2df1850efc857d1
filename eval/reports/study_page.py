"""A study as one page: a file of HTML that holds its tables, pictures and films, needs no network, and runs no code but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from eval.reports import films
from eval.reports.entries import Entry
from eval.reports.evaluations import p_text, record_of
from eval.reports.tables import Table
from eval.reports.trainings import WHAT
from eval.results import last_line, unfinished
from eval.score import Row
from whatwhere.counted import counted
from whatwhere.files import write_text

MOST = 20_000_000  # bytes of the page
MOST_PICTURES = MOST // 2
MOST_ROWS = 20_000  # in all, failures first
MOST_ENTRIES = 1000  # with settings and episodes of their own
SETTINGS = ("checkpoint", "sha256", "train_seed", "seed", "episodes", "execute", "inference", "queries")


def write(
    entries: Sequence[Entry], found: Mapping[str, Table], pictures: Mapping[str, Path], path: Path, each: int, baseline: str | None, command: str
) -> tuple[int, list[str]]:
    """Writes the page: `found` are its tables and `pictures` PNG files, both by their titles; `each` films of a result folder at most; `command` made it.

    Returns how many films are in it, and what was left out, a line each.
    """
    shown, notes = list(entries[:MOST_ENTRIES]), []
    if len(shown) < len(entries):
        notes.append(f"The settings and episodes of {counted(len(entries) - len(shown), 'evaluation')} left out for the page's size.")
    drawn = _embedded(pictures, notes)
    most = max(1, MOST_ROWS // max(1, len(shown)))
    told: dict[str, Any] = {
        "style": _own("page.css"), "script": _own("page.js"), "script_hash": _hash(_own("page.js")), "tables": found, "pictures": drawn, "command": command,
        "evaluations": len(entries), "episodes": sum(len(entry.rows) for entry in entries), "baseline": baseline,
        "tasks": sorted({entry.task for entry in entries}), "seeds": sorted({row["seed"] for entry in entries for row in entry.rows}),
    }  # fmt: skip
    sections = [_section(entry, most) for entry in shown]
    empty = _render(told | {"sections": sections, "notes": notes})
    room = MOST - len(empty.encode()) - 1000 * len(shown) * max(1, each) - 10_000
    clips, missing = films.clips(shown, each, max(0, room), path.parent)
    for section, own in zip(sections, clips, strict=True):
        section["clips"] = [{"row": _told(clip.row), "film": clip.film, "poster": clip.poster} for clip in own]
    notes += missing
    write_text(path, _render(told | {"sections": sections, "notes": notes}))
    return sum(map(len, clips)), notes


def _render(told: Mapping[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = lambda value, digits=2: "" if value is None else f"{value:.{digits}f}"
    return environment.from_string(_own("page.html")).render(told)


def _own(name: str) -> Markup:
    """A file of the page, which is ours and needs no escaping."""
    return Markup(files("eval.reports").joinpath("page", name).read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    """By which a browser knows the one script that it may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embedded(pictures: Mapping[str, Path], notes: list[str]) -> dict[str, str]:
    """PNG files as addresses; one that would take too much room is told of in `notes`."""
    drawn, size = {}, 0
    for title, path in pictures.items():
        address = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        if size + len(address) > MOST_PICTURES:
            notes.append(f"{path.name} left out for the page's size; it lies beside the page.")
            continue
        drawn[title], size = address, size + len(address)
    return drawn


def _section(entry: Entry, most: int) -> dict[str, Any]:
    """What the page tells of one result folder, beside its films."""
    record, results = record_of(entry), entry.results
    conditions = {title: text for title, write in WHAT.items() if title not in ("task", "policy") and (text := write(record))}
    settings = {**conditions, **{name: results[name] for name in SETTINGS if results.get(name) is not None}, "folder": entry.folder}
    settings |= {"versions": ", ".join(f"{name} {version}" for name, version in (results.get("versions") or {}).items())}
    settings |= {"command": results["command"]} if results.get("command") else {}
    rows = sorted(entry.rows, key=lambda row: (bool(row["success"]), row["seed"], row["episode"]))
    return {
        "title": " · ".join([entry.task, entry.name, *(f"{title} {text}" for title, text in conditions.items())]),
        "line": last_line(results), "unfinished": unfinished(entry.folder, entry.rows), "against": _against(entry), "settings": settings,
        "rows": [_told(row) for row in rows[:most]], "num_rows": len(rows), "clips": [], "won": sum(bool(row["success"]) for row in rows),
    }  # fmt: skip


def _against(entry: Entry) -> str | None:
    """The paired test, where there is one."""
    if not entry.difference:
        return None
    success = entry.difference["success"]
    points, low, high = (f"{100 * value:+.1f}".replace("-", "−") for value in (success["difference"], *success["ci95"]))
    return f"{points} points [{low}, {high}] over {entry.difference['starts']} common starts, p {p_text(entry.p)}, corrected {p_text(entry.p_holm)}"


def _told(row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in ("seed", "episode", "success", "failure", "position_error_cm", "steps", "freezes", "instruction")}
