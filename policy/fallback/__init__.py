"""What a policy does when a camera fails or an instruction says nothing that it knows (spec B13): names and what goes with what. Imports no numpy."""

from __future__ import annotations

from whatwhere.errors import BadInput, choose

FALLBACKS = ("none", "hold", "other_camera")


def check_fallback(fallback: str, camera_dropout: float, who: str) -> None:
    """Raises BadInput unless a policy (`who`) can answer so."""
    choose("fallback", fallback, FALLBACKS)
    if fallback == "other_camera" and not camera_dropout:
        raise BadInput(f"fallback=other_camera: {who} never learnt to act without one of its cameras; train with camera_dropout=0.2, or use fallback=hold")
