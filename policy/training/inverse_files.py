"""Whether a policy can be built over an inverse model, found from files alone. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy.storage.stored import verify
from whatwhere.errors import BadInput


def check_inverse(folder: str | Path, of: dict[str, Any]) -> None:
    """Raises BadInput, from files alone, unless an inverse model lies there, with the sizes `of` the policy that is to be built over it."""
    config = verify(folder).policy
    if config.change != "future":
        raise BadInput(f"inverse={folder}: is a policy, not an inverse model; make one with python -m policy.finetune head=planned change=future")
    for name, needed in of.items():
        if needed is not None and (found := getattr(config, name)) != needed:
            raise BadInput(f"inverse={folder}: {name}={found}, but this policy needs {needed}")
