"""Where checkpoints lie and whether their files are whole: names, manifest, sizes, sha256. Imports no torch, so bad files are refused at once.

<root>/manifest.json
<root>/<task>/<encoder>/model.safetensors  config.json  README.md
<root>/streams/<first 16 digits of sha256>/model.safetensors  config.json
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy.config import PolicyConfig, StreamsConfig
from policy.storage import FORMAT
from policy.storage.tensorfile import CONFIG, MODEL, check_file, check_tensors, read_header
from whatwhere.errors import BadInput, did_you_mean, shown
from whatwhere.files import inside, path_name, read_json, sha256, write_json

if TYPE_CHECKING:
    from policy.storage.records import Config, Manifest, Streams

MANIFEST = "manifest.json"
USUAL_ENCODER = "pixelwise"
SHIPPED = "shipped"  # the name of what lies beside the default streams


@dataclass(frozen=True)
class Stored:
    """A checkpoint whose files were found whole. `streams` is None if the model file holds everything."""

    folder: Path
    config: Config
    policy: PolicyConfig
    model: Path
    sha256: str
    streams: Path | None


def roots() -> list[Path]:
    """Where names are looked up, in this order: ./checkpoints, $WHATWHERE_CHECKPOINTS, the package's own."""
    given = [Path(part) for part in os.environ.get("WHATWHERE_CHECKPOINTS", "").split(os.pathsep) if part]
    package = Path(__file__).parents[1]
    own = [package / "checkpoints"]
    if (package.parent / "pyproject.toml").exists():  # a source tree
        own.append(package.parent / "checkpoints")
    return [root for root in (Path("checkpoints"), *given, *own) if root.is_dir()]


def names() -> list[str]:
    """The names of all checkpoints that are there, sorted."""
    found = {path.parent.relative_to(root).as_posix() for root in roots() for path in root.rglob(CONFIG)}
    return sorted(name for name in found if name.split("/")[0] != "streams")


def locate(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a checkpoint, by name or by path. Raises BadInput."""
    if not isinstance(name_or_folder, str | os.PathLike) or not isinstance(os.fspath(name_or_folder), str):
        raise BadInput(f"checkpoint={shown(name_or_folder)}: needs the name of a checkpoint or the path of its folder, as text or a Path")
    try:
        for folder in (*(root / name_or_folder for root in roots()), Path(name_or_folder)):
            if lexists(folder / CONFIG):
                return folder
        if Path(name_or_folder).is_dir():
            raise BadInput(f"checkpoint={name_or_folder}: this folder has no {CONFIG}")
    except (OSError, ValueError) as error:  # a name that is too long, or has a zero byte
        raise BadInput(f"checkpoint={shown(name_or_folder)}: cannot be looked for ({getattr(error, 'strerror', None) or error})") from None
    known = names()
    raise BadInput(
        f"checkpoint={name_or_folder}: no such name or folder; valid: a folder with {CONFIG}, or {', '.join(known) or 'a name (there are none yet)'}"
        f"{did_you_mean(str(name_or_folder), known)}"
    )


def versioned(task: str, version: int | str | None) -> str:
    """Under what name a manifest keeps the policies of a version of a task: pick_at_xy, pick_at_xy-v1."""
    return task if version in (None, 0, "0", "unknown") else f"{task}-v{version}"


def find(task: str, encoder: str | None = None, version: int | None = None) -> str:
    """The manifest's checkpoint name for a task, a version of it and an encoder; None: `pixelwise`, or else the only policy that there is for that version.

    Raises BadInput if no manifest has one that is there.
    """
    known, alone = set[str](), set[str]()
    wanted, task = f"task={task}" + (f" version={version}" if version else ""), versioned(task, version)
    for root in roots():
        if not lexists(root / MANIFEST):
            continue
        manifest = read_manifest(root)
        alone |= {name for name in manifest["checkpoints"] if name.startswith(f"{path_name(task)}/") and lexists(root / name / CONFIG)}
        for one_task, encoders in manifest["defaults"].items():
            for one_encoder, name in encoders.items():
                if lexists(root / name / CONFIG):
                    known.add(f"{one_task}/{one_encoder}")
                    if (one_task, one_encoder) == (task, encoder or USUAL_ENCODER):
                        return name
    if encoder is None and len(alone) == 1:
        return alone.pop()
    there = ", ".join(sorted(known | alone)) or "none"
    raise BadInput(
        f"checkpoint: none here for {wanted} encoder={encoder or USUAL_ENCODER}; there are: {there}; give checkpoint=FOLDER or train one with policy.finetune"
    )


def default_streams() -> Path:
    """The folder of the pre-trained streams that a manifest names as the default. Raises BadInput if there are none."""
    for root in roots():
        if lexists(root / MANIFEST):
            manifest = read_manifest(root)
            entry = manifest["streams"].get(manifest.get("default_streams") or "")
            if entry and lexists(root / entry["folder"] / CONFIG):
                return root / entry["folder"]
    raise BadInput("streams: none shipped; give streams=FOLDER (from python -m policy.pretrain) or streams=random")


def read_streams(folder: Path) -> Streams:
    """The record of the pre-trained streams in `folder` (`size`, `frame_gap`, `streams`, `training`, `sha256`), whose file was found whole. Raises BadInput."""
    record = streams_record(folder)
    check_tensors(folder / MODEL, {"sha256": record["sha256"]}, record["tensors"])
    _check_size(str(folder / CONFIG), StreamsConfig(**record["streams"]), folder / MODEL)
    return record


def _check_size(where: str, streams: StreamsConfig, file: Path) -> None:
    """Raises BadInput, before torch is imported, for streams of more weights than their file holds."""
    held = sum(map(math.prod, read_header(file).values()))
    if streams.block_weights > held:
        raise BadInput(f"{where}: streams.depth={streams.depth}, streams.dim={streams.dim}: have {streams.block_weights} weights, the file holds {held}")


def streams_record(folder: Path) -> Streams:
    """What `read_streams` gives, without a look at the weights."""
    from policy.storage.records import Streams

    if not lexists(folder / CONFIG) and (kept := sorted(folder.glob(f"streams/*/{CONFIG}"))):
        raise BadInput(f"{folder / CONFIG}: no such file; the streams of that run are {kept[0].parent}")
    record = read_json(folder / CONFIG, Streams)
    PolicyConfig.from_dict({"size": record["size"], "streams": record["streams"]}, str(folder / CONFIG))
    return record


def read_manifest(root: Path) -> Manifest:
    """Raises BadInput unless it is a manifest of this format, which names nothing outside its folder."""
    from policy.storage.records import Manifest

    manifest: Manifest = read_json(root / MANIFEST, Manifest)
    names = [name for encoders in manifest["defaults"].values() for name in encoders.values()]
    for name in (*names, *manifest["checkpoints"], *(entry["folder"] for entry in manifest["streams"].values())):
        inside(root, name)
    return manifest


def verify(name_or_folder: str | os.PathLike[str]) -> Stored:
    """Checks every file of a checkpoint, its streams included. Raises BadInput naming the file, what was found and what is valid."""
    folder = locate(name_or_folder)
    config = read_config(folder)
    _check_against_manifest(folder)
    policy = PolicyConfig.from_dict(config["policy"], f"{folder / CONFIG}: policy")
    model = config["files"].get(MODEL)
    if model is None:
        raise BadInput(f"{folder / CONFIG}: names no {MODEL} under files")
    check_tensors(folder / MODEL, model, config["tensors"])
    digest = config.get("streams_sha256")
    streams = None if digest is None else verify_streams(digest, folder)
    if policy.uses_streams:
        _check_size(f"{folder / CONFIG}: policy", policy.streams, folder / MODEL if streams is None else streams)
    return Stored(folder, config, policy, folder / MODEL, model["sha256"], streams)


def read_config(folder: Path) -> Config:
    from policy.storage.records import Config

    return read_json(folder / CONFIG, Config)


def _check_against_manifest(folder: Path) -> None:
    for root in (*folder.absolute().parents[:2], *roots()):
        path = folder.resolve()
        if not lexists(root / MANIFEST) or root.resolve() not in path.parents:
            continue
        entry = read_manifest(root)["checkpoints"].get(path.relative_to(root.resolve()).as_posix())
        for name, listed in entry["files"].items() if entry else ():
            check_file(inside(folder, name), listed, root / MANIFEST)


def verify_streams(digest: str, folder: Path) -> Path:
    """The file of the frozen streams with this sha256: inside the checkpoint's folder, beside it, or in a root. Raises BadInput."""
    places = [folder, *folder.absolute().parents[:2], *roots()]
    for place in places:
        path = place / "streams" / digest[:16] / MODEL
        if lexists(path):
            check_file(path, {"sha256": digest}, folder / CONFIG)
            return path
    looked = ", ".join(dict.fromkeys(str(place / "streams") for place in places))
    raise BadInput(f"{folder / CONFIG}: needs the streams {digest[:16]}, found in none of: {looked}")


def write_manifest(root: str | Path, default_streams: str | None = None) -> Path:
    """Lists what lies under `root` with size and sha256 of each file; `<task>/<encoder>` becomes the default of the pair it is named after.

    The default streams become `default_streams` (sha256), stay what they were, or become the first that are found.
    """
    root = Path(root)
    manifest: dict[str, Any] = {"format": FORMAT, "defaults": {}, "checkpoints": {}, "default_streams": None, "streams": {}}
    for path in sorted(root.rglob(CONFIG)):
        name = path.parent.relative_to(root).as_posix()
        if name.startswith("streams/") and name.count("/") > 1:
            continue  # an alignment of words, beside its streams
        files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256(p)} for p in sorted(path.parent.iterdir()) if p.name in (MODEL, CONFIG)}
        if name.startswith("streams/"):
            manifest["streams"][files[MODEL]["sha256"]] = {"folder": name, "files": files}
            continue
        config = read_config(path.parent)
        task, encoder = config["task"], config["policy"].get("encoder")
        kept = versioned(task, (config.get("training") or {}).get("task_version"))
        manifest["checkpoints"][name] = {"task": task, "encoder": encoder, "files": files, "streams_sha256": config.get("streams_sha256")}
        if name == f"{path_name(kept)}/{encoder}":
            manifest["defaults"].setdefault(kept, {})[encoder] = name
    before = default_streams or (read_manifest(root).get("default_streams") if lexists(root / MANIFEST) else None)
    manifest["default_streams"] = before if before in manifest["streams"] else next(iter(manifest["streams"]), None)
    write_json(root / MANIFEST, manifest)
    return root / MANIFEST
