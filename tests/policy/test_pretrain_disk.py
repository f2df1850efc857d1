"""Pre-training and probes on disks that fill up: exit code 1 with one line, nothing half written, and the same command carries on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from policy.storage.checkpoint import save_streams
from policy.streams import TwoStreamEncoder
from tests.disks import fill, one_line, run
from tests.policy import test_probe
from tests.policy.small import SIZE, config

scenes = test_probe.scenes  # the fixture
SMALL = ["steps=6", "batch=4", "dim=64", "depth=1", "heads=2", "save_every=3", "num_threads=1", "validate_every=0", "device=cpu"]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("play")
    np.save(folder / "frames.npy", np.random.default_rng(0).integers(0, 256, (6, 5, 32, 32, 3), dtype=np.uint8))
    return folder


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(next(out.rglob("model.safetensors")))


def test_a_full_disk_while_streams_are_trained(footage: Path, tmp_path: Path, disk: Callable[[int], Path]) -> None:
    assert run("policy.pretrain", f"data={footage}", f"out={tmp_path / 'whole'}", *SMALL).returncode == 0
    state = (tmp_path / "whole" / "state.safetensors").stat().st_size
    out = disk(state // 1024 + 200) / "out"  # the first state, and not a second one beside it
    words = [f"data={footage}", f"out={out}", *SMALL]
    one_line(run("policy.pretrain", *words), 1, str(out), "state.safetensors: No space left on device", "same command again")
    assert not list(out.rglob("*.tmp"))
    subprocess.run(["mount", "-o", f"remount,size={2 * state // 1024 + 60}k", str(out.parent)], check=True)
    one_line(run("policy.pretrain", *words), 1, str(out), "No space left on device")  # now the streams
    assert not list(out.rglob("*.tmp")) and not list((out / "streams").rglob("config.json"))
    subprocess.run(["mount", "-o", "remount,size=200m", str(out.parent)], check=True)
    assert run("policy.pretrain", *words).returncode == 0
    one, other = weights(out), weights(tmp_path / "whole")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_full_disk_while_footage_is_decoded(tmp_path: Path, disk: Callable[[int], Path]) -> None:
    from PIL import Image

    (tmp_path / "data").mkdir()
    for i in range(12):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(tmp_path / "data" / f"x{i * i}.png")
    cache = disk(160)
    done = run("policy.pretrain", f"data={tmp_path / 'data'}", f"out={tmp_path / 'out'}", f"cache={cache}", *SMALL)
    one_line(done, 1, str(cache), "No space left on device")
    assert "left out" not in done.stderr, "no picture is at fault"
    assert not list(cache.glob("*.tmp")) and list(cache.glob("*.rgb"))


def test_a_full_disk_while_tokens_are_probed(scenes: Path, tmp_path: Path, disk: Callable[[int], Path]) -> None:
    torch.manual_seed(0)
    digest = save_streams(TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2), tmp_path, config())
    words = [
        f"checkpoint={tmp_path / 'streams' / digest[:16]}",
        f"scenes={scenes.parent}",
        "train=60",
        "held_out=20",
        "baselines=false",
        f"out={tmp_path / 'out'}",
    ]
    cache = disk(64)
    one_line(run("policy.probe", *words, f"cache={cache}"), 1, str(cache), "No space left on device")
    assert not list(cache.iterdir()), "no tokens are left"
    assert not (tmp_path / "out").exists()
    fill(cache)
    one_line(run("policy.probe", *words, f"cache={cache}"), 1, "No space left on device")
    (cache / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(cache)], check=True)
    done = run("policy.probe", *words, f"cache={cache}")
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in cache.iterdir()] == [".json"]
