"""How many demonstrations a policy needs: success and position error against their number, a line a policy, a column a task and condition (spec A16)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.reports.entries import Entry, moves
from whatwhere.errors import BadInput
from whatwhere.files import atomic

ROWS = {"success": "success, %", "error": "position error, cm (median)"}


def draw(entries: Sequence[Entry], path: str | Path) -> Path:
    """Writes a PNG: a dot a training with its 95 % interval over starts, a line through the means over training seeds.

    Raises BadInput if no task has policies with different numbers of demonstrations.
    """
    columns = _columns(entries)
    if not columns:
        raise BadInput("curves: no task has policies with different numbers of demonstrations")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(columns), figsize=(4.2 * len(columns), 5.4), squeeze=False, layout="constrained", sharey="row")
    lines = _lines([entry for column in columns.values() for entry in column])
    names = sorted(set(lines.values()))
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    for j, (title, column) in enumerate(columns.items()):
        numbers = sorted({entry.results["num_demos"] for entry in column})
        axes[0, j].set_title(title, fontsize=10)
        axes[1, j].set_xlabel("demonstrations")
        for axis, kind in zip(axes[:, j], ROWS, strict=True):
            for i, (name, colour) in enumerate(colours.items()):
                shift = 1 + 0.02 * (i - (len(colours) - 1) / 2)  # so that intervals do not hide one another
                _draw_line(axis, [entry for entry in column if lines[entry.folder] == name], kind, shift, color=colour, label=name)
            axis.set_xscale("log")
            axis.set_xticks(numbers, [str(n) for n in numbers])
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


def has_curves(entries: Sequence[Entry]) -> bool:
    """Whether some task has policies with different numbers of demonstrations."""
    return bool(_columns(entries))


def _columns(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Learned policies by task and condition, those alone whose numbers of demonstrations differ."""
    columns: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.results.get("num_demos"):
            conditions = (entry.results.get("split"), entry.results.get("perturbation"), moves(entry.results))
            title = " · ".join(filter(None, (entry.task, *conditions)))
            columns.setdefault(title, []).append(entry)
    return {title: column for title, column in columns.items() if len({entry.results["num_demos"] for entry in column}) > 1}


def _lines(entries: Sequence[Entry]) -> dict[Path, str]:
    """What the line of each folder is called: the encoder, whether the streams below it were never trained, and which they are if there are several.

    Demonstrations that were multiplied have lines of their own, and so have policies that remember.
    """
    streams: dict[str, set[str]] = {}
    for entry in entries:
        streams.setdefault(entry.name, set()).add(entry.results.get("streams") or "")
    names = {}
    for entry in entries:
        own = entry.results.get("streams") or ""
        if own == "random":
            names[entry.folder] = f"{entry.name}, untrained streams"
        else:
            names[entry.folder] = f"{entry.name}, streams {own}" if len(streams[entry.name] - {"random"}) > 1 else entry.name
        if few := entry.results.get("multiplied_from"):
            names[entry.folder] += f", {few} multiplied"
        if moments := entry.results.get("memory"):
            names[entry.folder] += f", memory {moments}"
    return names


def _draw_line(axis: Any, entries: Sequence[Entry], kind: str, shift: float, **style: Any) -> None:
    points: dict[int, list[float]] = {}
    for entry in entries:
        value, low, high = _value(entry.results, kind)
        if value is not None and low is not None and high is not None:
            n = entry.results["num_demos"]
            points.setdefault(n, []).append(value)
            axis.errorbar(n * shift, value, [[value - low], [high - value]], fmt="o", ms=4, lw=1, alpha=0.6, color=style["color"])
    means = {n: float(np.mean(values)) for n, values in sorted(points.items())}
    if means:
        axis.plot([n * shift for n in means], list(means.values()), lw=1.8, **style)


def _value(results: dict[str, Any], kind: str) -> tuple[float | None, float | None, float | None]:
    """The figure of an entry and its interval."""
    if kind == "success":
        low, high = results["success"]["ci95"]
        return 100 * results["success"]["rate"], 100 * low, 100 * high
    error = results["position_error_cm"]
    low, high = error["ci95"] or (None, None)
    return error["median"], low, high
