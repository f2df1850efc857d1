"""Reads the labelled pairs of pictures that `python -m envs.demos.scenes` draws."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from policy.storage.mapped import mapped
from whatwhere.errors import BadInput, choose
from whatwhere.files import read_json
from whatwhere.look import look


@dataclass(frozen=True)
class Scenes:
    """Pairs of pictures (t, t+k) of one task from one camera, with where the target is in the first; those to fit come before the held-out ones.

    `moved`: whether the target moves between the two. `digest` names the data, the camera included.
    """

    frames: UInt8[np.ndarray, "n 2 h w 3"]
    xy_cm: Float[np.ndarray, "n 2"]
    moved: Bool[np.ndarray, " n"]
    num_fit: int
    digest: str

    def __len__(self) -> int:
        return len(self.xy_cm)

    @property
    def size(self) -> int:
        """Pixels of a picture's edge."""
        return int(self.frames.shape[2])


def read_scenes(folder: str | Path, fit: int | None = None, held_out: int | None = None, camera: str | None = None) -> Scenes:
    """The first `fit` and `held_out` scenes of a task's folder (None: all) from `camera` (None: the task's first).

    Another camera than the first does not always see the target: only scenes in which it does are taken. Raises BadInput.
    """
    folder = Path(folder)
    if not (folder / "index.json").is_file():
        raise BadInput(f"scenes={folder}: no index.json; draw scenes with python -m envs.demos.scenes out={folder.parent} tasks={folder.name}")
    index = read_json(folder / "index.json")
    if not isinstance(index, dict) or index.get("kind") != "scenes":
        raise BadInput(f"scenes={folder}: not a folder of envs.demos.scenes")
    number = 0 if camera is None else index["cameras"].index(choose("camera", camera, index["cameras"]))
    try:
        frames = mapped(folder / "frames.npy", "draw scenes with python -m envs.demos.scenes")
        look(folder / "labels.npz", "array")
        with np.load(folder / "labels.npz", allow_pickle=False) as labels:
            target, visible = labels["target_pos_world"], labels["visible_pixels"][:, number]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"scenes={folder}: frames.npy or labels.npz is missing or not whole ({error})") from None
    rows = np.flatnonzero(visible > 0)
    first, rest = rows[rows < index["scenes"]], rows[rows >= index["scenes"]]
    for name, wanted, there in (("train", fit, len(first)), ("held_out", held_out, len(rest))):
        if wanted is not None and wanted > there:
            raise BadInput(f"{name}={wanted}: {folder} has {there} such scenes; draw more with python -m envs.demos.scenes")
    moved = np.abs(target[:, 1] - target[:, 0]).max(axis=1) > 1e-3
    chosen = np.concatenate([first[:fit], rest[:held_out]])
    words = json.dumps([index, number, len(first[:fit]), len(chosen)], sort_keys=True)
    digest = hashlib.sha256(words.encode()).hexdigest()
    return Scenes(frames[chosen, number], 100 * target[chosen, 0, :2].astype(np.float64), moved[chosen], len(first[:fit]), digest)
