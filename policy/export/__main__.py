"""Writes a policy as one file that runs without this package, for a robot's computer, and a JSON that describes how to use it.

The file is compared with the original before it gets its name: the actions must agree to 0.0001 (int8: 0.1). docs/export.md
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from policy.export import FORMATS
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import atomic, path_name, sha256, write_json
from whatwhere.kinds import InputPath, OneOf, Place, Range
from whatwhere.named import named
from whatwhere.options import options
from whatwhere.versions import installed

if TYPE_CHECKING:
    from policy.storage.checkpoint import Checkpoint
    from policy.storage.stored import Stored
    from policy.training.dataset import Demos

NAME = "policy"  # of the file, in a folder


@options
class Settings:
    """What `policy/conf/export.yaml` describes. Raises BadInput for values that cannot be."""

    checkpoint: InputPath | None
    to: Annotated[str, OneOf(FORMATS)]
    int8: bool
    out: Annotated[str, Place("a folder or a file", "either")] | None
    demos: InputPath | None
    observations: Annotated[int, Range(1, 10_000)]

    def __post_init__(self) -> None:
        if self.int8 and not named("to", self.to, FORMATS).int8:
            raise BadInput(f"int8=true: not with to={self.to}; leave it out, or use to=onnx")
        if not self.checkpoint:
            raise BadInput("checkpoint: missing; give checkpoint=NAME (pick_at_xy/pixelwise) or the folder of a trained policy")


def main(settings: Settings) -> None:
    from policy.storage.stored import verify

    assert settings.checkpoint is not None
    kind = named("to", settings.to, FORMATS)
    if missing := [name for name in kind.needs if importlib.util.find_spec(name) is None]:
        raise BadInput(f"to={settings.to}: needs {', '.join(missing)}, not installed here; run: pip install 'whatwhere[{settings.to}]'")
    stored = verify(settings.checkpoint)
    if stored.policy.memory:
        raise BadInput(f"checkpoint={settings.checkpoint}: remembers (memory={stored.policy.memory}), which an exported file cannot; it runs in Python alone")
    path = place(settings, stored, kind.suffix)
    check_writable("out", path.parent)
    demos = _demos(settings, stored)
    export(settings, stored, kind, path, demos)


def place(settings: Settings, stored: Stored, suffix: str) -> Path:
    """The file's path: `out` itself if it ends as such files do, else a file in the folder `out`. Raises BadInput."""
    default = Path("outputs/export") / "_".join((path_name(stored.config["task"]), stored.policy.encoder, stored.sha256[:8], *["int8"] * settings.int8))
    out = Path(settings.out or default)
    of_another = next((to for to in FORMATS if to != settings.to and named("to", to, FORMATS).suffix == out.suffix), None)
    if of_another is not None:
        raise BadInput(f"out={settings.out}: is the name of a file of to={of_another}; to={settings.to} writes {suffix} files")
    path = out if out.suffix == suffix else out / f"{NAME}{suffix}"
    if path.is_dir():
        raise BadInput(f"out={settings.out}: {path} is a folder; give a name that is free")
    return path


def _demos(settings: Settings, stored: Stored) -> Demos | None:
    if settings.demos is None:
        return None
    from policy.training.dataset import load_demos

    return load_demos(settings.demos, 1, stored.policy.chunk)


def export(settings: Settings, stored: Stored, kind: Any, path: Path, demos: Demos | None) -> None:
    import torch

    from policy.agent import Agent
    from policy.export.about import about
    from policy.export.check import BOUND, BOUND_INT8, largest_difference
    from policy.export.graph import output_shapes, traced
    from policy.export.record import record_path
    from policy.storage.checkpoint import load

    torch.set_num_threads(1)
    loaded = load(stored.folder)
    agent = Agent(loaded.policy, loaded.normalisation)
    observations = list(_observations(settings, loaded, demos))
    print(f"{settings.checkpoint} → {path}: about a minute", flush=True)
    program = traced(loaded.policy, loaded.normalisation)
    bound = BOUND_INT8 if settings.int8 else BOUND
    told = about(loaded, str(settings.checkpoint), output_shapes(program), kind.needs) | {"weights": "int8" if settings.int8 else "float32"}
    with atomic(path) as temporary:
        kind.write(program, temporary, told, settings.int8)
        difference = largest_difference(agent, kind(temporary), observations)
        if not difference <= bound:
            raise Failed(f"{path}: not written: its actions differ from the checkpoint's by {difference:.2g}, more than {bound:g}")
        size = temporary.stat().st_size
        told["file"] = {"name": path.name, "bytes": size, "sha256": sha256(temporary)}
    of = "recorded" if demos is not None else "random"
    told["check"] = {"observations": len(observations), "of": of, "largest_difference": difference, "bound": bound}
    told["check"]["runtime"] = f"{kind.runtime} {installed(kind.runtime)}"
    write_json(record_path(path), told)
    print(f"{path}: {size / 1e6:.1f} MB; on {len(observations)} {of} observations its actions differ by at most {difference:.1e}")
    print(f"{record_path(path)}: what goes in and what comes out")


def _observations(settings: Settings, loaded: Checkpoint, demos: Demos | None) -> Any:
    from policy.export.check import random_observations, recorded_observations

    config = loaded.policy.config
    if demos is not None:
        return recorded_observations(demos, config, settings.observations)
    return random_observations(config, loaded.normalisation["proprio"], settings.observations)


if __name__ == "__main__":
    command("policy.conf", "export", Settings, main)
