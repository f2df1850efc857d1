"""The probes' figures as text that lines up, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy.probing.xy import WAYS
from whatwhere.files import write_json, write_text

MOST_CM, MOST_SHARE = 1.0, 0.5  # what fused patches should reach: so many cm, and that share of the untrained streams' error


def xy_text(task: str, records: Sequence[dict[str, Any]], guess_cm: float) -> str:
    """Rows: what is read; columns: how. Medians in cm, of patches with their interval and where the target moves."""
    found = {(row["source"], row["streams"], row["read"]): row for row in records if row["task"] == task}
    first = next(iter(found.values()))
    lines = [(f"{task}, {first['camera']}", "patches", "95 %", "moving", "average", "CLS", "keypoints", "rank")]
    for source, streams in dict.fromkeys((row["source"], row["streams"]) for row in found.values()):
        patches = found.get((source, streams, "patches"), {})
        cells = {way: _number(found.get((source, streams, way), {}).get("median_cm")) for way in WAYS}
        interval = f"{patches['ci95_low_cm']:.2f}–{patches['ci95_high_cm']:.2f}" if patches else ""
        others = (cells["average"], cells["CLS"], cells["keypoints"], _number(patches.get("effective_rank"), 0))
        lines.append((f"{source} {streams}", cells["patches"], interval, _number(patches.get("median_moved_cm")), *others))
    text = aligned(lines)
    text += f"\nmedian distance in cm of {first['held_out']} held-out scenes, after {first['fit']}; always predicting the mean position: {guess_cm:.2f}"
    return "\n".join([text, *_verdict(found)])


def _verdict(found: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    mine, untrained = (found.get((source, "fused", "patches")) for source in ("pre-trained", "untrained"))
    if mine is None:
        return []
    lines = [f"fused patches: {mine['median_cm']:.2f} cm (at most {MOST_CM}: {_yes(mine['median_cm'] <= MOST_CM)})"]
    if untrained is not None:
        share = mine["median_cm"] / untrained["median_cm"]
        lines[0] += f", {share:.2f} of untrained streams' (at most {MOST_SHARE}: {_yes(share <= MOST_SHARE)})"
    return lines


def action_text(records: Sequence[dict[str, Any]], guess: dict[str, float], pairs: str) -> str:
    """Rows: what is read; columns: R² of patches (all, and each number of an action) with the mean error, and R² of average and CLS."""
    names = [key[3:] for key in guess if key.startswith("r2_")]
    lines: list[tuple[str, ...]] = [("R² of the action between frames", "patches", "error", *names, "average", "CLS")]
    found = {(row["source"], row["streams"], row["read"]): row for row in records}
    for source, streams in [("always", "the mean"), *dict.fromkeys((row["source"], row["streams"]) for row in records)]:
        row = found.get((source, streams, "patches"), guess)
        others = (_number(found.get((source, streams, way), {}).get("r2")) for way in ("average", "CLS"))
        lines.append((f"{source} {streams}", _number(row["r2"]), _number(row["mean_error"], 3), *(_number(row[f"r2_{name}"]) for name in names), *others))
    return aligned(lines) + f"\nlinear probe; error: mean absolute, of actions in [−1, 1]; {pairs}"


def contents_text(task: str, records: Sequence[dict[str, Any]], guess: dict[str, float | None]) -> str:
    """Rows: what is read; columns: for each way of reading, the shares (%) of right answers."""
    asked = [key for key, value in guess.items() if value is not None]
    names = {"left_right": "left/right", "near_far": "near/far", "named": "named", "all_named": "all named"}
    ways = list(dict.fromkeys(row["read"] for row in records))
    lines: list[tuple[str, ...]] = [(f"contents, {task}, {records[0]['camera']}, %", *(f"{way} {names[key]}" for way in ways for key in asked))]
    found = {(row["source"], row["streams"], row["read"]): row for row in records}
    for source, streams in dict.fromkeys((row["source"], row["streams"]) for row in records):
        cells = [found.get((source, streams, way), {}).get(key) for way in ways for key in asked]
        lines.append((f"{source} {streams}", *(_number(None if cell is None else 100 * cell, 1) for cell in cells)))
    always = ", ".join(f"{names[key]} {100 * (guess[key] or 0):.1f}" for key in asked)
    return aligned(lines) + f"\n{records[0]['held_out']} held-out scenes, after {records[0]['fit']}; always the more frequent answer: {always}"


def velocity_text(task: str, records: Sequence[dict[str, Any]]) -> str:
    """Rows: what is read; columns: R² of the velocity, direction and speed at 4 cm/s and more, and in how many scenes the drifting object is named."""
    lines: list[tuple[str, ...]] = [(f"velocity, {task}, {records[0]['camera']}", "R²", "direction °", "within 20° %", "speed error %", "named %")]
    for row in records:
        shares = [None if value is None else 100 * value for value in (row["within_20_deg"], row["speed_error"], row["named"])]
        lines.append((f"{row['source']} {row['streams']}", _number(row["r2"]), _number(row["direction_deg"], 1), *(_number(share, 1) for share in shares)))
    told = f"linear probe of the patches around an object; medians of {records[0]['fast']} drifting ones at 4 cm/s and more (all: 0 to 12), the hand moving"
    return aligned(lines) + f"\n{told}; fitted to {records[0]['fit']} scenes; guessing names one in as many as there are objects"


def names_text(task: str, records: Sequence[dict[str, Any]]) -> str:
    """Rows: what is read; columns: in how many things colour, shape and both are told."""
    first = records[0]
    lines: list[tuple[str, ...]] = [(f"names, {task}, {first['camera']}", "colour %", "shape %", "both %")]
    lines += [("always the commonest", *(_number(100 * first[f"{name}_commonest"], 1) for name in ("colour", "shape")), "")]
    lines += [(f"{row['source']} {row['streams']}", *(_number(100 * row[name], 1) for name in ("colour", "shape", "both"))) for row in records]
    told = f"{first['things']} things in {first['held_out']} held-out scenes, after {first['fit']} scenes"
    return aligned(lines) + f"\nlinear probe of the patches around a thing; {told}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns lined up, the first to the left, the others to the right; a rule under the first row."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def write(folder: Path, facts: dict[str, Any], text: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """`probe.txt`, `probe.json`, and a CSV for each of `tables` with rows."""
    write_text(folder / "probe.txt", text + "\n")
    for name, records in tables.items():
        if records:
            out = io.StringIO()
            writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
            write_text(folder / f"{name}.csv", out.getvalue())
    write_json(folder / "probe.json", facts | tables)


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"
