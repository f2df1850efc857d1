"""The table of single evaluations: a line a result folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.reports import tables, trainings
from eval.reports.entries import Entry
from eval.results import CONDITIONS, unfinished


def make_table(entries: Sequence[Entry], baseline: str | None = None) -> tables.Table:
    """The table of the entries; columns without any value, and conditions that are the same for all, are left out of what people read."""
    records = [record_of(entry) for entry in entries]
    columns = {title: [write(record) for record in records] for title, write in COLUMNS.items()}
    shown = {title: cells for title, cells in columns.items() if (len(set(cells)) > 1 if title in VARYING else any(cells))}
    if "demos" not in shown and any(record["multiplied_from"] or record["corrections"] for record in records):
        shown = {title: columns[title] for title in columns if title in shown or title == "demos"}  # what was multiplied or corrected is always told
    if twins := _twins(shown):
        shown["folder"] = [entry.folder.name if is_twin else "" for entry, is_twin in zip(entries, twins, strict=True)]
    notes = ["Success with Wilson 95 % intervals, median error with bootstrap 95 % intervals: over starts, not over trainings."]
    notes += [f"{title}: {meaning}." for title, meaning in LEGEND.items() if title in shown]
    notes += [f"Unfinished: {entry.folder} has {found}." for entry in entries if (found := unfinished(entry.folder, entry.rows)) is not None]
    if baseline is not None:
        notes.append(f"p: exact McNemar test against {baseline} over common starts; p (Holm): corrected for the comparisons of that task and its conditions.")
    return tables.Table(tuple(shown), list(zip(*shown.values(), strict=True)), records, notes)


def _twins(shown: dict[str, list[str]]) -> list[bool]:
    """Which lines say the same of whom they are as another one does: for these the name of the folder is told. Empty where none does."""
    whose = list(zip(*(cells for title, cells in shown.items() if title in (*trainings.WHAT, "train seed")), strict=True))
    twins = [whose.count(one) > 1 for one in whose]
    return twins if any(twins) else []


def record_of(entry: Entry) -> dict[str, Any]:
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
    "error cm (p90)": lambda r: _number(r["error_cm_p90"]),
    "≤ 1 cm %": lambda r: _percent(r["within_1_cm"]),
    "relation %": lambda r: _percent(r["relation"]),
    "stalled %": lambda r: _percent(r["freeze"]),
    "p": lambda r: p_text(r["p"]),
    "p (Holm)": lambda r: p_text(r["p_holm"]),
}

LEGEND = {
    "split": "of version 1 of a task, which things and sentences there are (docs/tasks_named.md); empty: version 0",
    "latency": "control steps by which pictures (and actions) are late",
    "said": "what the policy was told instead of the instruction: blank (nothing), other (another thing of the scene, which then counts)",
    "without": "the stream that was taken away at evaluation: m (what changed), p (what is where)",
    "fault": "what was made to fail, and from which control step on (docs/fallbacks.md)",
    "history": "what the policy is told of the robot since its pictures were taken",
    "memory": "moments whose features the policy remembers (docs/memory.md)",
    "goal": "what an inverse model was to bring about: a picture of the end, or a film of the way (docs/planner.md)",
    "actions from": "whose recorded actions the inverse model under a planner learnt from (docs/planner.md)",
    "streams": "the pre-trained vision transformers, by their sha256 (random: never trained)",
    "relation %": "episodes that end with the object on the side that was asked for",
    "stalled %": "episodes in which no joint and no object moved for at least 1 s",
}
VARYING = ("split", "perturbation", "moves by itself", "demos", "streams", "train seed")
