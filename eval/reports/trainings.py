"""One recipe trained several times: its success over trainings *and* starts, in a table of its own beside that of single trainings.

The intervals of single trainings are over starts alone and say nothing of how much the next training may differ. Here both are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.reports import tables
from eval.reports.entries import Entry, demos, moves
from eval.results import CONDITIONS
from eval.score import by_starts, two_way_bootstrap


def make_table(entries: Sequence[Entry], baseline: str | None = None) -> tables.Table | None:
    """A line for each recipe of `entries` (task, conditions, policy, streams); None where none was trained with more than one seed.

    With a `baseline` (an encoder, policy or folder name: then the recipe of that folder) also the difference to it over common starts, where it was
    evaluated under the same conditions; over the same streams if there is one.
    """
    recipes: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        if entry.results["train_seed"] is not None:
            recipes.setdefault((entry.group, entry.name, *(entry.results.get(name) for name in OF_A_RECIPE)), []).append(entry)
    pooled = [sorted(trained, key=lambda entry: entry.results["train_seed"]) for trained in recipes.values() if _is_one_recipe(trained)]
    groups = {trained[0].group for trained in pooled if len(trained) > 1}
    if not groups:
        return None
    bases = [trained for trained in pooled if any(baseline in (entry.name, entry.folder.name) for entry in trained)]
    records = [_record(trained, _base(trained, bases)) for trained in pooled if trained[0].group in groups]
    records.sort(key=_place)
    columns = {title: [write(record) for record in records] for title, write in COLUMNS.items()}
    columns = {title: cells for title, cells in columns.items() if any(cells)}
    notes = ["Mean success over trainings; 95 % intervals over trainings and starts (two-way bootstrap), over starts alone where there is one training."]
    if baseline is not None and "difference, points" in columns:
        notes.append(f"difference: to {baseline} over common starts.")
    return tables.Table(tuple(columns), list(zip(*columns.values(), strict=True)), records, notes)


def _place(record: dict[str, Any]) -> tuple[Any, ...]:
    """Where a recipe stands in the table."""
    numbers = [record[name] or 0 for name in ("latency", "action_latency", "num_demos", "multiplied_from", "corrections")]
    texts = [record[name] or "" for name in ("split", "perturbation", "without", "said", "fault", "fallback")]
    return record["task"], *texts, moves(record), *numbers, -record["success"], record["policy"], record["streams"] or ""


def _is_one_recipe(trained: Sequence[Entry]) -> bool:
    """Whether each has a seed of its own, and all have starts in common."""
    return len({entry.results["train_seed"] for entry in trained}) == len(trained) and _successes(trained).size > 0


def _base(trained: list[Entry], bases: Sequence[list[Entry]]) -> list[Entry]:
    """What a recipe is compared with: a baseline of its task and conditions; itself where there is none."""
    same = [base for base in bases if base[0].group == trained[0].group]
    return min(same, key=lambda base: base[0].results.get("streams") != trained[0].results.get("streams"), default=trained)


def _record(trained: Sequence[Entry], base: Sequence[Entry]) -> dict[str, Any]:
    """One row of the CSV; rates from 0 to 1, distances in cm."""
    first = trained[0]
    own = _successes(trained)
    (low, high), rates = two_way_bootstrap(own), own.mean(axis=1)
    medians = [entry.results["position_error_cm"]["median"] for entry in trained]
    difference, limits = None, (None, None)
    if base is not trained:
        both = _successes([*trained, *base])
        if both.size:
            a, b = both[: len(trained)], both[len(trained) :]
            difference, limits = float(a.mean() - b.mean()), two_way_bootstrap(a, b)
    return {
        "task": first.task, **{name: first.results.get(name) for name in CONDITIONS}, "policy": first.name,
        "trainings": len(trained), "starts": own.shape[1], "success": float(rates.mean()), "success_low": low, "success_high": high,
        "success_of_each": " ".join(f"{100 * rate:.0f}" for rate in rates), "success_sd": float(rates.std(ddof=1)) if len(rates) > 1 else None,
        "error_cm_median": None if None in medians else float(np.mean(medians)),
        "difference": difference, "difference_low": limits[0], "difference_high": limits[1],
    }  # fmt: skip


def _successes(trained: Sequence[Entry]) -> NDArray[np.float64]:
    """Whether each training succeeded (1 or 0) on each start that all of them have: (trainings, starts)."""
    found = [by_starts(entry.rows) for entry in trained]
    common = [start for start in found[0] if all(start in other for other in found)]
    return np.array([[bool(other[start]["success"]) for start in common] for other in found], np.float64)


def _late(record: dict[str, Any]) -> str:
    """By how many control steps pictures (and actions) are late, and what it was trained for if that differs."""
    late = [str(record["latency"] or "")] + [f"actions {record['action_latency']}"] * bool(record["action_latency"])
    trained = f" (trained for {record['trained_for']})" if record["trained_for"] else ""
    return ", ".join(filter(None, late)) + trained


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return "" if value is None or low is None or high is None else f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


OF_A_RECIPE = ("streams", "history", "memory", "trained_for", "actions_from", "goal")  # beside its name and conditions
WHAT: dict[str, Any] = {  # what a line of either table is about
    "task": lambda r: r["task"],
    "split": lambda r: r["split"] or "",
    "perturbation": lambda r: r["perturbation"] or "",
    "latency": lambda r: _late(r),
    "without": lambda r: r["without"] or "",
    "said": lambda r: r["said"] or "",
    "fault": lambda r: r["fault"] or "",
    "fallback": lambda r: r["fallback"] or "",
    "moves by itself": moves,
    "demos": demos,
    "policy": lambda r: r["policy"],
    "streams": lambda r: r["streams"] or "",
    "history": lambda r: r["history"] or "",
    "memory": lambda r: str(r["memory"] or ""),
    "goal": lambda r: r["goal"] or "",
    "actions from": lambda r: r["actions_from"] or "",
}
COLUMNS: dict[str, Any] = {
    **WHAT,
    "trainings": lambda r: str(r["trainings"]),
    "success % of each": lambda r: r["success_of_each"].replace(" ", ", "),
    "mean success %": lambda r: _with_interval(r["success"], r["success_low"], r["success_high"]),
    "sd over trainings": lambda r: "" if r["success_sd"] is None else f"{100 * r['success_sd']:.1f}",
    "error cm (mean of medians)": lambda r: "" if r["error_cm_median"] is None else f"{r['error_cm_median']:.2f}",
    "difference, points": lambda r: _with_interval(r["difference"], r["difference_low"], r["difference_high"]).replace("-", "−"),
}
