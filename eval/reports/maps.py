"""Where in the workspace a policy errs: top views, one a result folder, the target's place at the start against error and success."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.reports.entries import Entry
from whatwhere.errors import BadInput
from whatwhere.files import atomic

BINS = 6
RANGE_CM = (0.2, 20.0)  # of the colours, logarithmic


def draw(entries: Sequence[Entry], path: str | Path) -> Path:
    """Writes a PNG with a panel an entry: squares coloured by the median error of the starts in them, a dot a success, a cross a failure.

    Raises BadInput if no row says where its target lay.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    placed = [(entry, starts) for entry in entries if len(starts := _starts(entry.rows))]
    if not placed:
        raise BadInput("maps: no row has target_xy_m; use pictures=false")
    columns = min(4, len(placed))
    rows = -(-len(placed) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.1 * columns + 1.0, 3.1 * rows), squeeze=False, layout="constrained")
    norm = LogNorm(*RANGE_CM)
    shading = None
    for axis, (entry, starts) in zip(axes.flat, placed, strict=False):
        shading = _panel(axis, entry, starts, _limits([other for one, other in placed if one.task == entry.task]), norm)
    for axis in list(axes.flat)[len(placed) :]:
        axis.set_visible(False)
    if shading is not None:
        label = "position error, cm (median in the square)"
        figure.colorbar(shading, ax=axes, label=label, shrink=min(0.9, 3 / rows), extend="both", ticks=[0.2, 0.5, 1, 2, 5, 10, 20], format="%g")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
    return Path(path)


def is_placed(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether some row says where its target lay."""
    return any(row.get("target_xy_m") is not None for row in rows)


def _starts(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """(n, 4): target x and y in metres, error in cm (NaN where there is none), success."""
    kept = [(*row["target_xy_m"], row["position_error_cm"], row["success"]) for row in rows if row.get("target_xy_m") is not None]
    return np.array([[x, y, np.nan if error is None else error, success] for x, y, error, success in kept], float).reshape(-1, 4)


def _limits(groups: Sequence[np.ndarray]) -> np.ndarray:
    """(2, 2): lowest and highest x and y of all starts of a task, so that its panels share their squares."""
    points = np.concatenate(groups)[:, :2]
    margin = 1e-3 + 0.03 * np.ptp(points, axis=0)
    return np.stack([points.min(axis=0) - margin, points.max(axis=0) + margin], axis=1)


def _panel(axis: Any, entry: Entry, starts: np.ndarray, limits: np.ndarray, norm: Any) -> Any:
    x, y, error, success = starts.T
    edges = [np.linspace(limits[i, 0], limits[i, 1], BINS + 1) for i in range(2)]
    cell = [np.clip(np.digitize(starts[:, i], edges[i]) - 1, 0, BINS - 1) for i in range(2)]
    medians = np.full((BINS, BINS), np.nan)  # (x, y)
    for i, j in set(zip(*cell, strict=True)):
        inside = error[(cell[0] == i) & (cell[1] == j)]
        if np.isfinite(inside).any():
            medians[i, j] = np.nanmedian(inside)
    # Across: y; down: x, which grows away from the robot and towards the scene camera, so the map lies as the camera's picture does.
    shading = axis.pcolormesh(edges[1], edges[0], medians, norm=norm, cmap="YlOrRd")
    won = success > 0
    axis.scatter(y[won], x[won], s=9, c="black", linewidths=0)
    axis.scatter(y[~won], x[~won], s=26, c="royalblue", marker="x", linewidths=1.4)
    axis.set_xlim(*limits[1])
    axis.set_ylim(*limits[0][::-1])
    axis.set_aspect("equal")
    axis.set_facecolor("0.93")
    axis.tick_params(labelsize=7)
    axis.set_xlabel("y, m", fontsize=8)
    axis.set_ylabel("x, m", fontsize=8)
    axis.set_title(f"{entry.task} · {entry.name}\n• {int(won.sum())} succeeded   × {int((~won).sum())} failed", fontsize=8)
    return shading
