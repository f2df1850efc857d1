"""Policies and streams on disk: safetensors and JSON, verified before they are read (layout and checks: policy.storage.stored).

Weights are kept in fp16. Frozen streams are a file of their own, named by sha256 and shared by the checkpoints over them; they are what
`load_streams` gives, so train (and cache tokens) over loaded streams, not over the fp32 ones they were saved from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy.config import PolicyConfig, StreamsConfig
from policy.storage import FORMAT
from policy.storage.cards import policy_card, streams_card
from policy.storage.stored import Stored, find, locate, read_streams, streams_record, verify, write_manifest
from policy.storage.tensorfile import CONFIG, MODEL, check_tensors
from policy.transforms import Affine
from whatwhere.errors import BadInput, about
from whatwhere.files import atomic, read_json, write_json, write_text
from whatwhere.versions import stamp

FUSION, FUSION_RECORD = "fusion.safetensors", "fusion.json"

if TYPE_CHECKING:  # torch is slow to import: not before the files were found whole
    import torch

    from policy.fusion.pixelwise import PixelwiseFusion
    from policy.model import Policy
    from policy.storage.records import Streams
    from policy.streams import TwoStreamEncoder

__all__ = ["Checkpoint", "find", "load", "load_fusion", "load_streams", "locate", "save_pretrained", "save_streams", "verify", "write_manifest"]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded policy (fp32, in eval mode) with its normalisation and the whole `config.json`."""

    policy: Policy
    normalisation: dict[str, Affine]  # "proprio" and "actions"
    config: dict[str, Any]
    folder: Path
    sha256: str


def save_pretrained(
    policy: Policy,
    folder: str | Path,
    *,
    task: str,
    normalisation: Mapping[str, Affine],
    training: Mapping[str, Any],
    score: Mapping[str, Any] | None = None,
    streams_root: str | Path | None = None,
) -> Path:
    """Writes `folder` atomically file by file, `config.json` last. Frozen streams go to `streams_root` (default: `folder`) under `streams/`.

    `training`: how it was trained, in JSON values: task_version, rendering, demos, train_seed, steps, command, `start_hashes` …
    """
    from policy.storage.weights import serialise

    folder = Path(folder)
    shared = policy.streams is not None and policy.config.frozen_streams
    data, tensors = serialise(policy, skip="streams." if shared else None)
    digest = None
    if shared:
        assert policy.streams is not None
        digest = save_streams(policy.streams, streams_root or folder, policy.config)
    config = {
        "format": FORMAT,
        "task": task,
        "policy": policy.config.to_dict(),
        "normalisation": {key: normalisation[key].to_dict() for key in ("proprio", "actions")},
        "training": dict(training),
        "score": None if score is None else dict(score),
        "versions": stamp(),
        "streams_sha256": digest,
        "files": {MODEL: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}},
        "tensors": tensors,
    }
    with atomic(folder / MODEL) as path:
        path.write_bytes(data)
    write_text(folder / "README.md", policy_card(config, None if streams_root is None else folder.name))
    write_json(folder / CONFIG, config)
    return folder


def load(name_or_folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> Checkpoint:
    """A checkpoint by name or folder, its files verified first. Raises BadInput."""
    stored: Stored = verify(name_or_folder)
    with about(f"{stored.folder / CONFIG}: normalisation"):
        normalisation = {key: Affine.from_dict(stored.config["normalisation"][key]) for key in ("proprio", "actions")}
    _check_sizes(stored.folder / CONFIG, stored.policy, normalisation)

    from policy.model import build
    from policy.storage.weights import restored

    with about(f"{stored.folder / CONFIG}: policy"):
        policy = restored(lambda: build(stored.policy), {"": stored.model} | ({} if stored.streams is None else {"streams.": stored.streams}))
    return Checkpoint(policy.eval().to(device), normalisation, dict(stored.config), stored.folder, stored.sha256)


def _check_sizes(path: Path, config: PolicyConfig, normalisation: Mapping[str, Affine]) -> None:
    for key, dim in (("proprio", config.own_dim), ("actions", config.action_dim)):
        found = len(normalisation[key].shift)
        if found != dim:
            raise BadInput(f"{path}: normalisation.{key}: {found} numbers, needs {dim}")


def save_streams(
    streams: TwoStreamEncoder,
    root: str | Path,
    config: PolicyConfig,
    training: Mapping[str, Any] | None = None,
    fusion: PixelwiseFusion | None = None,
) -> str:
    """Writes `root/streams/<16 digits>/` unless it is there, and returns the sha256 of the streams' file. The same weights give the same file.

    `fusion`: what was trained with the streams, kept beside them in `fusion.safetensors` and `fusion.json` (spec A20); the name of the streams does not
    depend on it.
    """
    from policy.storage.weights import serialise

    data, tensors = serialise(streams)
    digest = hashlib.sha256(data).hexdigest()
    folder = Path(root) / "streams" / digest[:16]
    if fusion is not None:
        _save_fusion(fusion, folder)
    if not (folder / CONFIG).exists():
        with atomic(folder / MODEL) as path:
            path.write_bytes(data)
        sizes = config.to_dict()
        record = {"format": FORMAT, "sha256": digest, "size": config.size, "frame_gap": config.frame_gap, "streams": sizes["streams"], "tensors": tensors}
        record |= {"training": dict(training or {}), "versions": stamp()}
        write_text(folder / "README.md", streams_card(record))
        write_json(folder / CONFIG, record)
    return digest


def _save_fusion(fusion: PixelwiseFusion, folder: Path) -> None:
    from policy.storage.weights import serialise

    data, tensors = serialise(fusion)
    with atomic(folder / FUSION) as path:
        path.write_bytes(data)
    record = {"format": FORMAT, "sha256": hashlib.sha256(data).hexdigest(), "dim": fusion.dim, **fusion.choices, "tensors": tensors}
    write_json(folder / FUSION_RECORD, record)


def load_fusion(folder: str | Path, grid: tuple[int, int]) -> PixelwiseFusion | None:
    """The fusion saved beside pre-trained streams, for a `grid` of patches; None if there is none. Raises BadInput if it is damaged."""
    folder = Path(folder)
    if not (folder / FUSION_RECORD).exists():
        return None
    from policy.storage.records import Fusion

    record, dim = read_json(folder / FUSION_RECORD, Fusion), StreamsConfig(**streams_record(folder)["streams"]).dim
    if record["dim"] != dim:
        raise BadInput(f"{folder / FUSION_RECORD}: dim: needs {dim}, as the streams beside it have, found {record['dim']}")
    check_tensors(folder / FUSION, {"sha256": record["sha256"]}, record["tensors"])

    from policy.fusion.pixelwise import PixelwiseFusion
    from policy.storage.weights import restored

    choices = (record["fusion"], record["cls_fusion"], record["sharing"])
    with about(str(folder / FUSION_RECORD)):
        return restored(lambda: PixelwiseFusion(record["dim"], grid, *choices), {"": folder / FUSION})


def load_streams(folder: str | Path) -> tuple[TwoStreamEncoder, Streams]:
    """Pre-trained streams and their record (`size`, `frame_gap`, `streams`, `training`, `sha256`). Raises BadInput."""
    folder = Path(folder)
    record = read_streams(folder)
    config = PolicyConfig(size=record["size"], streams=StreamsConfig(**record["streams"]))

    from policy.model import build_streams
    from policy.storage.weights import restored

    return restored(lambda: build_streams(config), {"": folder / MODEL}), record
