"""Where a pre-training run keeps what makes pictures of changes: `OUT/decoder` and `OUT/diffusion`, each with `config.json` and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from policy.storage.tensorfile import CONFIG, MODEL
from whatwhere.errors import BadInput
from whatwhere.files import read_json, sha256
from whatwhere.look import look

R = TypeVar("R")


def find_tool(given: str | Path, name: str, kind: str, option: str, make: str, schema: type[R]) -> tuple[Path, R]:
    """The folder and its record; `given` is that folder, or the OUT with it. Its weights are those that were written.

    Raises BadInput, naming `option` and the command (`make`) that makes such a folder.
    """
    folder = Path(given)
    folder = folder / name if (folder / name / CONFIG).is_file() else folder
    found: Any = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else None
    if not isinstance(found, dict) or found.get("kind") != kind:
        raise BadInput(f"{option}={given}: no {name} there; needs the OUT of {make}")
    record: Any = read_json(folder / CONFIG, schema)
    look(folder / MODEL, "file of weights")
    if (digest := sha256(folder / MODEL)) != record["sha256"]:
        raise BadInput(f"{folder / MODEL}: sha256 {digest[:16]}…, needs {record['sha256'][:16]}… ({CONFIG}): damaged or replaced")
    return folder, record
