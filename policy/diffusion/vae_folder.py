"""The folder of a VAE: what diffusers writes of an `AutoencoderKL`. Imports no torch, so that a folder that is none is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy.storage.stored import default_streams
from policy.storage.tensorfile import read_header
from whatwhere.errors import BadInput
from whatwhere.files import read_json

CONFIG = "config.json"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
KIND, BESIDE = "AutoencoderKL", "vae"


def find_vae(given: str | Path | None, option: str = "objective.vae") -> tuple[dict[str, Any], Path]:
    """What its `config.json` says, and its file of weights; `given` is that folder, the OUT of policy.autoencoder, or None for the shipped one.

    Raises BadInput, naming `option`, for anything else.
    """
    folder = _shipped(option) if given is None else Path(given)
    if not folder.is_dir():
        raise BadInput(f"{option}={folder}: no such folder; make one with python -m policy.autoencoder")
    if not (folder / CONFIG).is_file() and (folder / BESIDE / CONFIG).is_file():
        folder = folder / BESIDE
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{option}={folder}: no {CONFIG} in it; needs the folder of a diffusers {KIND}, or the OUT of python -m policy.autoencoder")
    config = read_json(folder / CONFIG)
    kind = config.get("_class_name") if isinstance(config, dict) else None
    if kind != KIND:
        raise BadInput(f"{option}={folder}: {CONFIG} describes {f'a {kind}' if kind else 'no model of diffusers'}; needs an {KIND}")
    name = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if name is None:
        raise BadInput(f"{option}={folder}: no {WEIGHTS[0]} in it; other files of weights are not read")
    try:
        read_header(folder / name)
    except BadInput as error:
        raise BadInput(f"{option}={error}") from None
    return config, folder / name


def _shipped(option: str) -> Path:
    """The small VAE beside the shipped streams."""
    folder = default_streams() / BESIDE
    if not (folder / CONFIG).is_file():
        raise BadInput(f"{option}: none shipped; make one with python -m policy.autoencoder, and name its folder")
    return folder
