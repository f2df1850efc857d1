"""Success and position error along something counted, a line a policy, a column a task and condition: demonstrations (spec A16), or late pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.reports.entries import Entry, moves
from whatwhere.counted import counted
from whatwhere.errors import BadInput
from whatwhere.files import atomic

ROWS = {"success": "success, %", "error": "position error, cm (median)"}
# of policies, beside their names
TOLD = {"memory": "memory", "history": "history", "goal": "goal", "actions_from": "actions from", "trained_for": "trained for"}
HIDDEN = {"latency": "history"}  # what a policy cannot have everywhere along this axis


@dataclass(frozen=True)
class Along:
    """What a curve goes along: a number in the results of each evaluation of a learned policy."""

    key: str
    label: str
    is_log: bool  # of a logarithmic axis, on which there is no 0

    def of(self, entry: Entry) -> int | None:
        """None: it has no place on the axis."""
        if entry.results["encoder"] is None:
            return None
        value = entry.results.get(self.key) or 0
        return None if self.is_log and not value else int(value)

    def shifted(self, value: int, by: float) -> float:
        """A little beside it, so that intervals do not hide one another."""
        return value * (1 + 0.02 * by) if self.is_log else value + 0.05 * by


DEMOS = Along("num_demos", "demonstrations", True)
LATENCY = Along("latency", "control steps by which pictures are late", False)


def draw(entries: Sequence[Entry], path: str | Path, along: Along = DEMOS) -> Path:
    """Writes a PNG: a dot a training with its 95 % interval over starts, a line through the means over training seeds.

    Raises BadInput if no task has policies at different places along the axis.
    """
    columns = _columns(entries, along)
    if not columns:
        raise BadInput(f"curves: no task has policies with different numbers of {along.label}")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(columns), figsize=(4.2 * len(columns), 5.4), squeeze=False, layout="constrained", sharey="row")
    lines = _lines([entry for column in columns.values() for entry in column], along)
    names = sorted(set(lines.values()))
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    for j, (title, column) in enumerate(columns.items()):
        places = sorted({along.of(entry) for entry in column})  # type: ignore[type-var]
        axes[0, j].set_title(title, fontsize=10)
        axes[1, j].set_xlabel(along.label)
        for axis, kind in zip(axes[:, j], ROWS, strict=True):
            for i, (name, colour) in enumerate(colours.items()):
                shift = i - (len(colours) - 1) / 2
                _draw_line(axis, [entry for entry in column if lines[entry.folder] == name], kind, along, shift, color=colour, label=name)
            if along.is_log:
                axis.set_xscale("log")
            axis.set_xticks(places, [str(place) for place in places])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    for axis, (kind, label) in zip(axes[:, 0], ROWS.items(), strict=True):
        axis.set_ylabel(label)
        axis.set_ylim(-3, 103) if kind == "success" else axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, 2 * len(columns)), fontsize=8)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
    return Path(path)


def has_curves(entries: Sequence[Entry], along: Along = DEMOS) -> bool:
    """Whether some task has policies at different places along the axis."""
    return bool(_columns(entries, along))


def _columns(entries: Sequence[Entry], along: Along) -> dict[str, list[Entry]]:
    """Learned policies by task and condition, those alone whose places along the axis differ."""
    columns: dict[str, list[Entry]] = {}
    for entry in entries:
        if along.of(entry) is not None:
            columns.setdefault(_title(entry, along), []).append(entry)
    return {title: column for title, column in columns.items() if len({along.of(entry) for entry in column}) > 1}


def _title(entry: Entry, along: Along) -> str:
    """Task and conditions, but for what the axis shows."""
    results = entry.results
    taken = [f"{word} {value}" for word in ("without", "said") if (value := results.get(word))]
    conditions = [*(results.get(name) for name in ("split", "perturbation", "fault", "fallback")), *taken, moves(results)]
    late = [f"{what} {results[key]} late" for key, what in (("latency", "pictures"), ("action_latency", "actions")) if key != along.key and results.get(key)]
    return " · ".join(filter(None, (entry.task, *conditions, *late)))


def _lines(entries: Sequence[Entry], along: Along = DEMOS) -> dict[Path, str]:
    """What the line of each folder is called: the encoder, whether the streams below it were never trained, and which they are if there are several.

    Demonstrations that were multiplied or corrected have lines of their own, and so have policies that remember, know of themselves, want something,
    or were trained for another latency.
    """
    streams: dict[str, set[str]] = {}
    for entry in entries:
        streams.setdefault(entry.name, set()).add(entry.results.get("streams") or "")
    several = along.key != DEMOS.key and len({entry.results.get("num_demos") for entry in entries}) > 1
    names = {}
    for entry in entries:
        own = entry.results.get("streams") or ""
        if own == "random":
            names[entry.folder] = f"{entry.name}, untrained streams"
        else:
            names[entry.folder] = f"{entry.name}, streams {own}" if len(streams[entry.name] - {"random"}) > 1 else entry.name
        if several:
            names[entry.folder] += f", {entry.results.get('num_demos')} demonstrations"
        if few := entry.results.get("multiplied_from"):
            names[entry.folder] += f", {few} multiplied"
        if corrections := entry.results.get("corrections"):
            names[entry.folder] += f", {counted(corrections, 'correction')}"
        names[entry.folder] += "".join(f", {word} {value}" for key, word in TOLD.items() if key != HIDDEN.get(along.key) and (value := entry.results.get(key)))
    return names


def _draw_line(axis: Any, entries: Sequence[Entry], kind: str, along: Along, shift: float, **style: Any) -> None:
    points: dict[int, list[float]] = {}
    for entry in entries:
        value, low, high = _value(entry.results, kind)
        place = along.of(entry)
        if value is not None and low is not None and high is not None and place is not None:
            points.setdefault(place, []).append(value)
            axis.errorbar(along.shifted(place, shift), value, [[value - low], [high - value]], fmt="o", ms=4, lw=1, alpha=0.6, color=style["color"])
    means = {place: float(np.mean(values)) for place, values in sorted(points.items())}
    if means:
        axis.plot([along.shifted(place, shift) for place in means], list(means.values()), lw=1.8, **style)


def _value(results: dict[str, Any], kind: str) -> tuple[float | None, float | None, float | None]:
    """The figure of an entry and its interval."""
    if kind == "success":
        low, high = results["success"]["ci95"]
        return 100 * results["success"]["rate"], 100 * low, 100 * high
    error = results["position_error_cm"]
    low, high = error["ci95"] or (None, None)
    return error["median"], low, high
