"""A training run that survives `kill -9`: parameters, optimiser state and step in one safetensors file, written atomically."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from policy.storage.weights import current
from whatwhere.errors import BadInput, Failed, is_of_this_machine
from whatwhere.files import atomic
from whatwhere.look import Missing, look
from whatwhere.schema import checked
from whatwhere.strict_json import parse

OPTIMIZER = re.compile(r"optimizer/(\d{1,9})/(\w+)")


class Told(TypedDict):
    """What the file says beside its tensors."""

    step: Annotated[str, Meta(pattern=r"^[0-9]{1,12}\Z", description="a whole number")]
    note: str  # JSON


def save_state(path: str | Path, step: int, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer, note: dict[str, Any] | None = None) -> None:
    """Writes everything that `load_state` needs to go on bit-exactly after `step`. Raises OSError (no space left); the state before is still there."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"step": str(step), "note": json.dumps(note or {})})
        except SafetensorError as error:  # which hides what the system said
            code = re.search(r"os error (\d+)", str(error))
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) if code else Failed(f"{path}: cannot be written ({error})") from None


def load_state(path: str | Path, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
    """The step and note of a saved run, after loading it into `modules` and `optimizer`; (0, {}) if there is none. Raises BadInput if it is damaged."""
    path = Path(path)
    try:
        look(path, "file of weights")
    except Missing:
        return 0, {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {current(key): file.get_tensor(key) for key in list(file.keys())}
            meta = file.metadata()
        for name, module in modules.items():
            module.load_state_dict({key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")})
    except (SafetensorError, RuntimeError, OSError) as error:
        if is_of_this_machine(error):  # then the state is sound, and not to be deleted
            raise
        raise BadInput(f"{path}: cannot be resumed from ({str(error).splitlines()[0]}); delete it to start again") from None
    told = checked(meta, Told, f"{path}: metadata")
    note = checked(parse(told["note"], f"{path}: note"), dict[str, Any], f"{path}: note")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            known = OPTIMIZER.fullmatch(key)
            index = int(known[1]) if known else len(weights)
            if known is None or index >= len(weights) or value.shape not in ((), weights[index].shape):
                raise BadInput(f"{path}: {key:.120}: is of another optimiser; delete it to start again")
            state.setdefault(index, {})[known[2]] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(told["step"]), note
