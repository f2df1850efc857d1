"""Whether a policy can be built over an inverse model, and which one lies under it, found from files alone. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policy.config import PolicyConfig
from policy.heads import WITH_PLANNER
from policy.storage.stored import Stored, verify
from whatwhere.errors import BadInput

INVERSE = "inverse"  # the folder, in a planner's own, of the inverse model that was learnt with it


def has_planner(config: PolicyConfig) -> bool:
    """Whether it says what should change (an inverse model is told)."""
    return config.head in WITH_PLANNER and config.change == "past"


def taught_by(task: str, training: Mapping[str, Any]) -> str:
    """Whose actions an inverse model learnt from: `25 of pick_at_xy`, `40 of play in pick_at_xy`."""
    count, played = training["demonstrations"], training.get("played") or 0
    return ", ".join(([f"{count - played} of {task}"] if count > played else []) + ([f"{played} of play in {task}"] if played else []))


def check_inverse(folder: str | Path, of: dict[str, Any]) -> Stored:
    """Raises BadInput, from files alone, unless an inverse model lies there, with the sizes `of` the policy that is to be built over it."""
    stored = verify(folder)
    if stored.policy.change != "future":
        raise BadInput(f"inverse={folder}: is a policy, not an inverse model; make one with python -m policy.finetune head=planned change=future")
    for name, needed in of.items():
        if needed is not None and (found := getattr(stored.policy, name)) != needed:
            raise BadInput(f"inverse={folder}: {name}={found}, but this policy needs {needed}")
    return stored


def inverse_under(planner: Stored, given: str | None) -> Path:
    """The folder of the inverse model whose codes a planner gives: the one beside it, or `given`, where it was trained over another's. Raises BadInput."""
    config, digest = planner.policy, (planner.config.get("training") or {}).get("inverse_sha256")
    if given is None and not (planner.folder / INVERSE).is_dir():
        raise BadInput(f"inverse: {planner.folder} was trained over the inverse model {str(digest)[:16]}, which is not beside it; add inverse=FOLDER")
    found = check_inverse(given or planner.folder / INVERSE, {"ahead": config.ahead, "size": config.size, "cameras": config.cameras})
    if digest not in (None, found.sha256):
        raise BadInput(f"inverse={found.folder}: is {found.sha256[:16]}, but this policy was trained over {str(digest)[:16]}, whose codes it gives")
    return found.folder
