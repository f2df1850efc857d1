"""Every kind of file that a command reads: a whole one, small, and the command that reads it and soon ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.demos import convert
from envs.demos.episodes import write_episode
from policy.model import build, build_streams
from policy.storage.checkpoint import save_pretrained, save_streams
from policy.storage.stored import write_manifest
from policy.transforms import Affine
from tests.envs.demos.demo_files import write_folder, write_robomimic
from tests.eval.test_report import fill
from tests.policy.small import PROPRIO, config
from tests.policy.test_finetune import episode
from whatwhere.files import sha256
from whatwhere.settings import parse

TINY = (
    "dim=64", "depth=1", "heads=2", "batch=2", "steps=1", "loaders=0", "num_threads=1", "validate_every=0", "size=32", "save_every=1", "holdout=0.3",
    "precision=fp32",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """`make(folder)` leaves whole files there; `words` is the command, run in that folder; `files` are those to damage (globs)."""

    name: str
    make: Callable[[Path], None]
    words: tuple[str, ...]
    files: tuple[str, ...]

    def targets(self, folder: Path) -> list[Path]:
        return sorted({path for pattern in self.files for path in folder.glob(pattern) if path.is_file()})


def _policies(folder: Path) -> None:
    """A root of checkpoints: a manifest, a policy over streams, the streams; and results to publish it with."""
    root = folder / "checkpoints"
    torch.manual_seed(0)
    policy = build(config())
    identity = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}
    training: dict[str, Any] = {"task_version": "0", "rendering": "fast", "steps": 10, "start_hashes": ["0" * 16]}
    save_pretrained(policy, root / "pick_at_xy" / "pixelwise", task="pick_at_xy", normalisation=identity, training=training, streams_root=root)
    write_manifest(root)
    digest = sha256(root / "pick_at_xy" / "pixelwise" / "model.safetensors")
    fill(folder / "results", "pixelwise", 3, n=4)
    path = folder / "results" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": digest}))


def _streams(folder: Path) -> None:
    from policy.fusion.pixelwise import PixelwiseFusion

    torch.manual_seed(0)
    sizes = config()
    streams = build_streams(sizes)
    save_streams(streams, folder, sizes, {"objective": "video_prediction"}, PixelwiseFusion(streams.dim, streams.grid))


def _own(folder: Path) -> None:
    write_folder(folder / "demos", 2)


def _finetuned(folder: Path) -> None:
    for i, steps in enumerate((6, 5)):
        write_episode(folder / "demos" / f"episode_{i}.hdf5", episode(steps, i))


def _robomimic(folder: Path) -> None:
    write_robomimic(folder / "demos.hdf5", demos=2, steps=5)


def _lerobot(folder: Path, pictures: str = "image") -> None:
    write_folder(folder / "demos", 2)
    words = [f"src={folder / 'demos'}", f"out={folder / 'lerobot'}", "to=lerobot", f"pictures={pictures}"]
    convert.main(parse("envs.conf", "convert", convert.Settings, words))
    shutil.rmtree(folder / "demos")


def _rows(folder: Path) -> None:
    for encoder, wins in (("avg_late", 2), ("pixelwise", 4)):
        fill(folder / "rows" / encoder, encoder, wins, n=5)


def _pictures(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    there = folder / "footage"
    there.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.gif", "d.webp", "e.tiff", "f.bmp")):
        Image.fromarray(rng.integers(0, 256, (40, 40 + i, 3), dtype=np.uint8)).save(there / name)


def _films(folder: Path) -> None:
    import imageio.v3 as iio

    there = folder / "footage"
    there.mkdir()
    frames = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), dtype=np.uint8)
    iio.imwrite(there / "film.mp4", frames, fps=10)
    iio.imwrite(there / "film.mkv", frames, fps=10)


def _play(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "footage").mkdir()
    np.save(folder / "footage" / "frames.npy", rng.integers(0, 256, (4, 4, 32, 32, 3), dtype=np.uint8))


def _commands(folder: Path) -> None:
    """Recorded commands for teleoperation; the folder they are to go to holds what other commands made, so nothing is played."""
    lines = [{"seed": 0, "start": 0}, *({"move": [0.1, 0, 0], "turn": [0, 0, 0.1], "speed": 0.5, "buttons": []} for _ in range(3))]
    (folder / "commands.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_folder(folder / "taken", 1)


def _training(folder: Path) -> None:
    """A finished fine-tuning; the same command finds it done."""
    from policy import finetune

    _finetuned(folder)
    finetune.main(parse("policy.conf", "finetune", finetune.Settings, [*FINETUNE[1:-2], f"demos={folder / 'demos'}", f"out={folder / 'out'}"]))


FINETUNE = (
    "policy.finetune", "task=pick_at_xy", "encoder=cnn_keypoints", "num_demos=2", "steps=1", "batch=2", "num_threads=1", "device=cpu", "precision=fp32",
    "demos=demos", "out=out",
)  # fmt: skip
COMMANDS = ("envs.demos.collect", "task=pick_at_xy", "source=file", "commands=commands.jsonl", "out=taken", "n=1")
PUBLISH = ("policy.publish", "results=results", "root=published")
KINDS = (
    Kind("policy by folder", _policies, (*PUBLISH, "checkpoint=checkpoints/pick_at_xy/pixelwise"), ("checkpoints/pick_at_xy/pixelwise/config.json",)),
    Kind("weights", _policies, (*PUBLISH, "checkpoint=checkpoints/pick_at_xy/pixelwise"), ("checkpoints/**/*.safetensors", "checkpoints/streams/*/*.json")),
    Kind("manifest", _policies, (*PUBLISH, "checkpoint=pick_at_xy/pixelwise"), ("checkpoints/manifest.json",)),
    Kind("results", _policies, (*PUBLISH, "checkpoint=pick_at_xy/pixelwise"), ("results/results.json",)),
    Kind("streams", _streams, ("policy.publish", "streams=STREAMS", "root=published"), ("streams/*/*.json", "streams/*/*.safetensors")),
    Kind("rows of a report", _rows, ("eval.report", "folders=rows", "pictures=false", "baseline=avg_late"), ("rows/*/*.json", "rows/*/*.jsonl")),
    Kind("rows compared", _rows, ("eval.compare", "a=rows/avg_late", "b=rows/pixelwise"), ("rows/*/*.json", "rows/*/*.jsonl")),
    Kind("demonstrations inspected", _own, ("envs.demos.inspect", "demos=demos", "starts=0", "pictures=2"), ("demos/*.hdf5",)),
    Kind("demonstrations converted", _own, ("envs.demos.convert", "src=demos", "out=converted.hdf5", "to=robomimic"), ("demos/*.hdf5",)),
    Kind("demonstrations learnt from", _finetuned, FINETUNE, ("demos/*.hdf5",)),
    Kind("robomimic", _robomimic, ("envs.demos.convert", "src=demos.hdf5", "out=converted", "to=folder", "task=made_up"), ("demos.hdf5",)),
    Kind("LeRobot", _lerobot, ("envs.demos.convert", "src=lerobot", "out=converted", "to=folder", "task=made_up"), ("lerobot/meta/**/*", "lerobot/data/**/*")),
    Kind("LeRobot's JSON", _lerobot, ("envs.demos.inspect", "demos=lerobot", "starts=0", "pictures=2"), ("lerobot/meta/*.json",)),
    Kind("pictures", _pictures, ("policy.pretrain", "data=footage", "out=out", "static=1", *TINY), ("footage/*",)),
    Kind("films", _films, ("policy.pretrain", "data=footage", "out=out", "strict=true", *TINY), ("footage/*",)),
    Kind("play", _play, ("policy.pretrain", "data=footage", "out=out", *TINY), ("footage/*",)),
    Kind("recorded commands", _commands, COMMANDS, ("commands.jsonl",)),
    Kind("settings of a training", _training, FINETUNE, ("out/training.json", "out/config.json")),
)
# Commands whose last words see to it that nothing long begins, whatever stands before them.
LINES: dict[str, tuple[str, ...]] = {
    "eval.run": ("checkpoint=no/such/folder",),
    "eval.report": ("folders=no/such/folder",),
    "eval.compare": ("a=no/such/folder",),
    "eval.study": ("plan=true",),
    "eval.cell": ("job=no/such/file.json",),
    "eval.bench": ("what=nothing",),
    "eval.correct": ("checkpoint=no/such/folder",),
    "eval.animate": ("video=no/such/film.mp4", "out=film.webp"),
    "envs.view": ("out=/dev/null/film.mp4",),
    "envs.demos.collect": ("source=file", "commands=no_such_file"),
    "envs.demos.play": ("out=/dev/null/x",),
    "envs.demos.scenes": ("out=/dev/null/x",),
    "envs.demos.convert": ("src=no/such/folder",),
    "envs.demos.inspect": ("demos=no/such/folder",),
    "envs.demos.replay": ("demos=no/such/folder",),
    "envs.demos.render": ("demos=no/such/folder",),
    "policy.finetune": ("demos=no/such/folder",),
    "policy.pretrain": ("data=no/such/folder",),
    "policy.probe": ("checkpoint=no/such/folder",),
    "policy.publish": ("checkpoint=no/such/folder",),
    "policy.export": ("checkpoint=no/such/folder",),
    "policy.inverse_dynamics": ("streams=no/such/folder",),
}


def options(module: str) -> Iterator[str]:
    """The options of a command, from the YAML of its defaults."""
    room, name = module.split(".")[0], module.split(".")[-1]
    text = (Path(__file__).resolve().parents[2] / room / "conf" / f"{name}.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        key = line.split(":")[0]
        if ":" in line and key.isidentifier() and key not in ("defaults", "hydra"):
            yield key
