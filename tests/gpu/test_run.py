"""The script that measures a GPU: it says so where there is none, and every part of it works on the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whatwhere.files import read_json

ROOT = Path(__file__).resolve().parents[2]


def ran(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", **variables}
    return subprocess.run(["bash", str(ROOT / "tests/gpu/run.sh"), *words], capture_output=True, text=True, check=False, env=environment)


def test_without_a_gpu_it_says_so() -> None:
    done = ran()
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == "gpu: skipped: torch sees no CUDA device here\n"


def test_another_word_is_refused() -> None:
    done = ran("device=tpu")
    assert done.returncode == 2 and done.stderr == "device=tpu: unknown; valid: device=cuda, device=cpu\n"


@pytest.mark.slow
def test_every_part_works_on_the_processor(tmp_path: Path) -> None:
    done = ran("device=cpu", OUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = read_json(tmp_path / "gpu.json")
    for part in (
        "actions apart",
        "queries a second",
        "one of 8 answered at once",
        "fine-tuning, steps",
        "pre-training, steps",
        "evaluation, seconds",
        "episodes a second",
    ):
        assert any(name.startswith(part) for name in told), part
