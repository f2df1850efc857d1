"""What was measured of an alignment, as text that lines up."""

from __future__ import annotations

from typing import Any

from policy.probing.report import aligned


def told(rows: list[dict[str, Any]]) -> str:
    """Rows of policy.aligning.measure: first those of whole pictures, then a table of places."""
    parts = [_pictures(row) for row in rows if row["measured"] == "pictures"]
    places = [row for row in rows if row["measured"] == "places"]
    head = ("what is named", "camera", "thing", "asked", "right one %", "median px", "p90 px", "seen %", "hidden %")
    return "\n\n".join([*parts, *([aligned([head, *map(_place, places)])] if places else [])])


def _pictures(row: dict[str, Any]) -> str:
    right, other, chance = (f"{100 * row[name]:.1f} %" for name in ("top1_text", "top1_picture", "chance"))
    return (
        f"caption of a picture, among {row['among']:.0f} held-out scenes ({row['groups']:.0f} times): right {right}, "
        f"picture of a caption {other} (chance {chance})\n"
        f"similarity of matched pairs {row['matched_similarity']:.3f}, of all {row['mean_similarity']:.3f}\n"
        f"modality gap {row['gap']:.3f}; variance of pictures {row['variance_pictures']:.3f}, of captions {row['variance_texts']:.3f}, "
        f"ratio {row['variance_ratio']:.2f}; gap over their mean root {row['gap_ratio']:.2f}"
    )


def _place(row: dict[str, Any]) -> tuple[str, ...]:
    hidden = "" if row["told_hidden"] is None else f"{100 * row['told_hidden']:.1f}"
    numbers = f"{100 * row['named']:.1f}", f"{row['median_px']:.2f}", f"{row['p90_px']:.2f}", f"{100 * row['told_seen']:.1f}"
    return row["split"], row["camera"], row["thing"], str(row["asked"]), *numbers, hidden
