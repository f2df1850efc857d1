"""A training run that survives `kill -9`: parameters, optimiser state and step in one safetensors file, written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from whatwhere.errors import BadInput
from whatwhere.files import atomic
from whatwhere.look import Missing, look


def save_state(path: str | Path, step: int, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer, note: dict[str, Any] | None = None) -> None:
    """Writes everything that `load_state` needs to go on bit-exactly after `step`."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"step": str(step), "note": json.dumps(note or {})})


def load_state(path: str | Path, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
    """The step and note of a saved run, after loading it into `modules` and `optimizer`; (0, {}) if there is none. Raises BadInput if it is damaged."""
    path = Path(path)
    try:
        look(path, "file of weights")
    except Missing:
        return 0, {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in list(file.keys())}
            meta = file.metadata()
        for name, module in modules.items():
            module.load_state_dict({key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BadInput(f"{path}: cannot be resumed from ({str(error).splitlines()[0]}); delete it to start again") from None
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(meta["step"]), json.loads(meta["note"])
