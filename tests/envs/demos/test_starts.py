"""The book of a folder: n files that do not depend on order, workers or kills."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from envs.demos.episodes import read_attrs, write_episode
from envs.demos.starts import Starts
from tests.envs.demos.test_episodes import SETTINGS, made_up
from whatwhere.errors import BadInput
from whatwhere.files import append_row, read_rows

FAILING = {0, 3, 4}


def play(folder: Path, start: int) -> dict:
    """A made-up start: its file, if it succeeds, and its row."""
    episode = made_up(attrs={**SETTINGS, "episode": start, "position_error_cm": 0.5, "init_hash": f"{start:016x}"})
    if start not in FAILING:
        write_episode(Starts.draft(folder, start), episode)
    return {"episode": start, "success": start not in FAILING, "failure": "horizon" if start in FAILING else None, "steps": len(episode)} | {
        "position_error_cm": 0.5,
        "init_hash": f"{start:016x}",
    }


def run(folder: Path, n: int, workers: int, rng: np.random.Generator, moves: int = 10_000) -> bool:
    """Collects with made-up workers that finish in any order, up to `moves` finished starts. True if it came to its end."""
    starts, running = Starts(folder), list[int]()
    while True:
        while len(running) < workers and (start := starts.next(n, running)) is not None:
            running.append(start)
        if not running:
            return True
        if moves == 0:
            return False
        moves -= 1
        starts.add(play(folder, running.pop(int(rng.integers(len(running))))))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    run(folder, 6, 1, np.random.default_rng(0))
    return folder


def test_failures_stay_out_and_are_booked(plain: Path) -> None:
    assert sorted(path.name for path in plain.glob("*.hdf5")) == [f"episode_{i}.hdf5" for i in range(6)]
    assert [read_attrs(plain / f"episode_{i}.hdf5")["episode"] for i in range(6)] == [1, 2, 5, 6, 7, 8]
    assert [row["episode"] for row in read_rows(plain / "starts.jsonl") if not row["success"]] == [0, 3, 4]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_kills_and_a_growing_n_change_nothing(plain: Path, tmp_path: Path, workers: int) -> None:
    rng = np.random.default_rng(workers)
    while not run(tmp_path, 2, workers, rng, moves=1):
        pass
    while not run(tmp_path, 6, workers, rng, moves=int(rng.integers(1, 3))):
        (tmp_path / ".start_9.hdf5.123.tmp").write_bytes(b"torn")
    assert content(tmp_path) == content(plain)


def test_a_smaller_n_is_content_with_what_is_there(plain: Path) -> None:
    starts = Starts(plain)
    assert not starts.wanted(4)
    assert not starts.wanted(6)
    assert starts.wanted(7)


def test_a_file_without_its_row_is_booked(tmp_path: Path) -> None:
    """Killed between the renaming and the row."""
    starts = Starts(tmp_path)
    starts.add(play(tmp_path, 0))
    play(tmp_path, 1)
    os.replace(Starts.draft(tmp_path, 1), tmp_path / "episode_0.hdf5")
    assert [row["episode"] for row in Starts(tmp_path).rows] == [0, 1]
    assert Starts(tmp_path).num_files == 1


def test_a_torn_row_is_no_row(tmp_path: Path) -> None:
    run(tmp_path, 3, 1, np.random.default_rng(0))
    before, book = content(tmp_path), tmp_path / "starts.jsonl"
    book.write_bytes(book.read_bytes()[:-20])  # the last row: start 5, whose file is there
    run(tmp_path, 3, 1, np.random.default_rng(0))
    assert [row["episode"] for row in read_rows(book)] == list(range(6))
    assert {name: data for name, data in content(tmp_path).items() if name != book.name} == {n: d for n, d in before.items() if n != book.name}


def test_a_deleted_file_is_played_again(plain: Path, tmp_path: Path) -> None:
    run(tmp_path, 6, 1, np.random.default_rng(0))
    (tmp_path / "episode_1.hdf5").unlink()
    (tmp_path / "episode_4.hdf5").unlink()
    assert Starts(tmp_path).wanted(4)
    run(tmp_path, 6, 2, np.random.default_rng(0))
    assert content(tmp_path) == content(plain)


@pytest.mark.parametrize("damage", ["bits", "foreign"])
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, damage: str) -> None:
    run(tmp_path, 3, 1, np.random.default_rng(0))
    path = tmp_path / "episode_2.hdf5"
    if damage == "bits":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        os.replace(path, tmp_path / "episode_7.hdf5")
    with pytest.raises(BadInput, match=r"not a whole HDF5 file|does not match"):
        Starts(tmp_path)


def test_rows_twice_count_once(tmp_path: Path) -> None:
    row = play(tmp_path, 0)
    for _ in range(2):
        append_row(tmp_path / "starts.jsonl", row)
    assert len(Starts(tmp_path).rows) == 1
