"""`policy.finetune` on disks that fill up or cannot be written: exit code 1 or 2 with one line, and the same command ends with the same weights."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.disks import ROOT, one_line, run
from tests.policy import test_finetune
from tests.policy.test_finetune import settings, spelled

demos = test_finetune.demos  # the fixture


def finetune(demos: Path, out: Path, cwd: Path = ROOT, **changes: Any) -> subprocess.CompletedProcess[str]:
    words = dataclasses.asdict(settings(demos, out, **changes)) | changes
    given = [f"{key}={spelled(value)}" for key, value in words.items()]
    return run("policy.finetune", *given, cwd=cwd)


@pytest.fixture(scope="module")
def whole(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert finetune(demos, out).returncode == 0
    return out


def same(out: Path, whole: Path) -> bool:
    return (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_tokens_that_do_not_fit(demos: Path, disk: Callable[[int], Path], tmp_path: Path, whole: Path) -> None:
    cache = disk(512)
    done = finetune(demos, tmp_path / "out", cache=cache)
    one_line(done, 1, str(cache), "_patches.npy: No space left on device", "same command again")
    assert not [path for path in cache.rglob("*") if path.suffix in (".npy", ".tmp")], "nothing half written is left"
    assert finetune(demos, tmp_path / "out", cache=tmp_path / "cache").returncode == 0
    assert same(tmp_path / "out", whole)


@pytest.mark.parametrize(
    ("megabytes", "save_every", "fails"),
    [
        (20, 4, "state.safetensors"),
        pytest.param(35, 4, "state.safetensors", marks=pytest.mark.slow),
        pytest.param(28, 100, "model.safetensors", marks=pytest.mark.slow),
    ],
)
def test_a_disk_too_small(demos: Path, disk: Callable[[int], Path], whole: Path, megabytes: int, save_every: int, fails: str) -> None:
    """The state has about 26 MB: it does not fit; it fits once, and not beside the one before; it fits, and the checkpoint does not."""
    folder = disk(megabytes << 10)
    done = finetune(demos, folder / "out", cache=whole.parent / "cache", save_every=save_every)
    one_line(done, 1, str(folder / "out"), f"{fails}: No space left on device", "same command again")
    assert not (folder / "out" / "config.json").exists() and not list(folder.rglob("*.tmp"))
    assert (folder / "out" / "state.safetensors").exists() == (megabytes > 20)
    subprocess.run(["mount", "-o", "remount,size=200m", str(folder)], check=True)
    assert finetune(demos, folder / "out", cache=whole.parent / "cache").returncode == 0
    assert same(folder / "out", whole)


def test_folders_that_cannot_be_written(demos: Path, tmp_path: Path, sealed: Callable[[Path], Path], whole: Path) -> None:
    (tmp_path / "here").mkdir()
    here = sealed(tmp_path / "here")
    done = finetune(demos, tmp_path / "out", cwd=here, cache="data/cache")
    one_line(done, 2, "cache=data/cache: cannot be written (Read-only file system); choose another cache=")
    assert not (tmp_path / "out").exists()
    one_line(finetune(demos, here / "out", cache=tmp_path / "cache"), 2, f"out={here / 'out'}: cannot be written (Read-only file system); choose another out=")


def test_what_is_complete_is_used_where_it_cannot_be_written(demos: Path, tmp_path: Path, sealed: Callable[[Path], Path], whole: Path) -> None:
    cache = sealed(whole.parent / "cache")
    done = finetune(demos, tmp_path / "out", cache=cache)
    assert done.returncode == 0 and "caching tokens" not in done.stderr, done.stderr
    assert same(tmp_path / "out", whole)
    one_line(finetune(demos, tmp_path / "other", cache=cache, shifts=1), 2, f"cache={cache}: cannot be written")
    out = sealed(whole)
    done = finetune(demos, out, cache=cache)
    assert done.returncode == 0 and "already trained" in done.stdout, done.stderr
