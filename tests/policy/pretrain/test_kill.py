"""`kill -9` while videos are decoded and while streams are trained."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from safetensors.torch import load_file


def command(data: Path, out: Path, cache: Path) -> list[str]:
    words = [f"data={data}", f"out={out}", f"cache={cache}", "size=32", "steps=240", "batch=4", "dim=64", "depth=1", "heads=2", "save_every=5"]
    words += ["num_threads=1", "validate_every=60", "validate_batches=1", "holdout=0.2", "crop=[0.4,1.0]", "device=cpu"]
    return [sys.executable, "-m", "policy.pretrain", *words]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_ten_times_the_weights_are_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    for i in range(8):
        iio.imwrite(data / f"{i}.mp4", rng.integers(0, 256, (30, 64, 80, 3), dtype=np.uint8), fps=10, macro_block_size=1)
    subprocess.run(command(data, tmp_path / "whole", tmp_path / "cache_whole"), check=True, capture_output=True)

    out, cache, chance, kills = tmp_path / "killed", tmp_path / "cache", random.Random(0), 0
    while kills < 10:
        watched = cache / "index.jsonl" if kills < 2 else out / "state.safetensors"  # twice while decoding, then each time further on
        before = watched.stat().st_mtime_ns if watched.exists() else 0
        process = subprocess.Popen(command(data, out, cache), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (watched.stat().st_mtime_ns if watched.exists() else 0) == before:
            time.sleep(0.005)
        assert process.poll() is None, "it was to be killed before its end"
        time.sleep(chance.uniform(0, 0.05 if kills < 2 else 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kills += 1
    subprocess.run(command(data, out, cache), check=True, capture_output=True)

    for name in ("state.safetensors", "model.safetensors", "fusion.safetensors"):
        whole, killed = (load_file(next((tmp_path / run).rglob(name))) for run in ("whole", "killed"))
        assert whole.keys() == killed.keys() and all(torch.equal(whole[key], killed[key]) for key in whole), name
    assert (out / "figures.jsonl").read_text() == (tmp_path / "whole" / "figures.jsonl").read_text()
