"""How episodes went in which a policy fell back, counted from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def fallbacks(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many episodes there were with a fallback, of these successes, those that ended holding still, and others; empty if there was none."""
    fell = [row for row in rows if row.get("fallback_why")]
    held = [row for row in fell if not row["success"] and row.get("fallback_end") and row.get("fallback_did") == "hold"]
    successes = sum(bool(row["success"]) for row in fell)
    return {"episodes": len(fell), "success": successes, "hold": len(held), "other": len(fell) - successes - len(held)} if fell else {}


def told(fell: Mapping[str, int]) -> str:
    """`in 50 episodes: 3 successes, 47 ended holding still, 0 otherwise`"""
    return f"in {fell['episodes']} episodes: {fell['success']} successes, {fell['hold']} ended holding still, {fell['other']} otherwise"
