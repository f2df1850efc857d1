"""Where a pre-training run keeps what makes pictures of changes: `OUT/decoder` and `OUT/diffusion`, each with `config.json` and its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from policy.storage.stored import SHIPPED, default_streams
from policy.storage.tensorfile import CONFIG, MODEL
from whatwhere.errors import BadInput
from whatwhere.files import read_json, sha256
from whatwhere.look import look

R = TypeVar("R")


@dataclass(frozen=True)
class Tool:
    name: str  # of its folder in OUT
    kind: str  # in its config.json
    make: str  # the command that makes it


DIFFUSION = Tool("diffusion", "latent_diffusion", "python -m policy.pretrain objective=latent_diffusion")
DECODER = Tool("decoder", "picture_decoder", "python -m policy.pretrain init=STREAMS frozen=true")


def tool_folder(given: str | Path, tool: Tool, option: str) -> Path:
    """Its folder; `given` is that, the OUT with it, or `shipped`. Raises BadInput, naming `option` and the command that makes it."""
    folder = default_streams() if str(given) == SHIPPED else Path(given)
    folder = folder / tool.name if (folder / tool.name / CONFIG).is_file() else folder
    found: Any = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else None
    if not isinstance(found, dict) or found.get("kind") != tool.kind:
        raise BadInput(f"{option}={given}: no {tool.name} there; needs the OUT of {tool.make}")
    return folder


def find_tool(given: str | Path, tool: Tool, option: str, schema: type[R]) -> tuple[Path, R]:
    """The folder (`tool_folder`) and its record. Its weights are those that were written. Raises BadInput, naming `option` or the file."""
    folder = tool_folder(given, tool, option)
    record: Any = read_json(folder / CONFIG, schema)
    look(folder / MODEL, "file of weights")
    if (digest := sha256(folder / MODEL)) != record["sha256"]:
        raise BadInput(f"{folder / MODEL}: sha256 {digest[:16]}…, needs {record['sha256'][:16]}… ({CONFIG}): damaged or replaced")
    return folder, record
