"""Seeded damage to every kind of file and to command lines: no traceback, no hang, no more than 2 GB, and an exit code of 0, 1 or 2.

FUZZ_SEED and FUZZ_COUNT draw another set; a failure names its seed, and `FUZZ_SEED=… FUZZ_COUNT=1` alone repeats it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.forked import Done, Forked
from tests.fuzz.kinds import KINDS, LINES, Kind, options
from tests.fuzz.mutate import damage, pick, strange_words

SEED, COUNT = int(os.environ.get("FUZZ_SEED", "0")), int(os.environ.get("FUZZ_COUNT", "60"))  # mutations a kind of file
LINE_COUNT = int(os.environ.get("FUZZ_LINES", "20"))  # command lines a command
LIMIT_MIB = 2048
WHOLE = 1_000_000  # a seed that damages nothing


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    with Forked() as process:
        yield process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


def made(kind: Kind, whole: Path) -> Path:
    folder = whole / kind.make.__name__
    if not folder.exists():
        folder.mkdir()
        kind.make(folder)
    return folder


def attempt(kind: Kind, whole: Path, folder: Path, forked: Forked, seed: int) -> tuple[Done, str]:
    """Runs the command on a damaged copy; returns what came of it and what was damaged."""
    shutil.copytree(made(kind, whole), folder)
    how = "nothing"
    if seed != WHOLE:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        path = pick(rng, kind.targets(folder))
        how = f"{path.relative_to(folder)} ({damage(path, rng)})"
    words = [word.replace("STREAMS", str(next((folder / "streams").iterdir()).relative_to(folder))) if "STREAMS" in word else word for word in kind.words]
    done = forked.run(words, folder, {"WHATWHERE_CHECKPOINTS": str(folder / "checkpoints")})
    if done.code is None:  # a machine that was busy for a moment is no hang; what hangs will hang again
        done = forked.run(words, folder, {"WHATWHERE_CHECKPOINTS": str(folder / "checkpoints")})
    shutil.rmtree(folder)
    return done, how


def complaints(found: list[tuple[str, Done]]) -> str:
    return "\n".join(f"{what}: {done.complaint(LIMIT_MIB)}: {done.err.strip()[-700:]!r}" for what, done in found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_files(kind: Kind, whole: Path, tmp_path: Path, forked: Forked) -> None:
    done, _ = attempt(kind, whole, tmp_path / "whole", forked, WHOLE)
    # what comes after reading may be refused on purpose, so that nothing long begins
    assert done.code == (2 if kind.name == "recorded commands" else 0), (done.code, done.err)
    wrong, noticed = [], 0
    for seed in range(SEED, SEED + COUNT):
        done, how = attempt(kind, whole, tmp_path / str(seed), forked, seed)
        noticed += done.code == 2 or Path(how.split(" ")[0]).name in done.out + done.err
        if done.complaint(LIMIT_MIB):
            wrong.append((f"FUZZ_SEED={seed} {kind.name}: {how}", done))
    assert not wrong, complaints(wrong)
    if COUNT >= 20:
        assert noticed >= COUNT // 20, "this damage is not even noticed: is the file read at all?"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("module", LINES)
def test_command_lines(module: str, tmp_path: Path, forked: Forked) -> None:
    wrong = []
    for seed in range(SEED, SEED + LINE_COUNT):
        rng = np.random.default_rng([seed, 99, list(LINES).index(module)])
        words = strange_words(list(options(module)), rng)
        last = [word for word in LINES[module] if word.split("=")[0] not in {given.split("=")[0].lstrip("+~") for given in words}]
        if len(last) < len(LINES[module]):
            continue  # it could be a valid line, and begin something long
        done = forked.run([module, *words, *last], tmp_path)
        if done.complaint(LIMIT_MIB):
            wrong.append((f"FUZZ_SEED={seed} {module} {[word[:60] for word in words]}", done))
    assert not wrong, complaints(wrong)
