"""Workers: the same rows whatever happens to them."""

from __future__ import annotations

import errno
import functools
import multiprocessing
import os
import re
import signal
import time

import pytest

from eval.playing.workers import play_all
from tests.disks import fill
from tests.eval.eval_fakes import build, build_never
from whatwhere.errors import BadInput, Failed
from whatwhere.files import append_row, read_rows


def lost(episode, reason, known):
    return {"episode": episode, "failure": reason, **known}


def rows_of(episodes, num_envs, timeout_s=60.0, **faults):
    rows = []
    play_all(episodes, functools.partial(build, **faults), num_envs, rows.append, lost, timeout_s)
    return sorted(({key: value for key, value in row.items() if key != "wall_s"} for row in rows), key=lambda row: row["episode"])


@pytest.fixture(scope="module")
def expected():
    return rows_of(range(6), 1)


def test_rows_do_not_depend_on_workers(expected):
    assert rows_of(range(6), 2) == expected
    assert rows_of(range(6), 4) == expected
    assert rows_of([5, 2], 2) == [expected[2], expected[5]]
    assert len({row["init_hash"] for row in expected}) == 6
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_replaced(expected, tmp_path):
    assert rows_of(range(6), 2, kill=3, marker=str(tmp_path / "killed")) == expected
    assert (tmp_path / "killed").exists(), "the fault did not happen"


def test_a_hanging_worker_is_replaced(expected, tmp_path):
    began = time.monotonic()
    assert rows_of(range(6), 2, timeout_s=2.0, hang=0, marker=str(tmp_path / "hung")) == expected
    assert (tmp_path / "hung").exists(), "the fault did not happen"
    assert time.monotonic() - began < 30


def test_three_deaths_make_a_failure_row(expected):
    rows = rows_of(range(4), 2, kill=1)
    assert rows[1] == {"episode": 1, "failure": "worker_killed", "init_hash": expected[1]["init_hash"]}
    assert [rows[i] for i in (0, 2, 3)] == [expected[i] for i in (0, 2, 3)]


def test_three_hangs_make_a_failure_row():
    assert rows_of([1], 1, timeout_s=1.0, hang=1)[0]["failure"] == "worker_hung"


def test_a_worker_killed_from_outside(expected, tmp_path):
    marker = str(tmp_path / "m")
    rows, victims = [], []

    def on_row(row):
        rows.append(row)
        if not victims:
            victims.append(int((tmp_path / "m.pids").read_text().split()[0]))
            os.kill(victims[0], signal.SIGKILL)

    play_all(range(6), functools.partial(build, marker=marker, delay=0.2), 2, on_row, lost)
    got = sorted(({k: v for k, v in row.items() if k != "wall_s"} for row in rows), key=lambda row: row["episode"])
    assert victims
    assert got == expected


def test_faults_of_the_code_are_not_hidden():
    with pytest.raises(RuntimeError, match="a fault of the code"):
        rows_of(range(3), 1, fail=1)


def test_workers_that_cannot_start():
    with pytest.raises(RuntimeError, match="could not start"):
        play_all([0], build_never, 1, lambda row: None, lost)


def test_workers_leave_when_the_parent_is_killed(tmp_path):
    marker = str(tmp_path / "m")
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=_run, args=(marker,))
    parent.start()
    pids = tmp_path / "m.pids"
    deadline = time.monotonic() + 30
    while not pids.exists() or not pids.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.join()
    worker = int(pids.read_text().split()[0])
    while _is_running(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.1)


def _run(marker):
    play_all([0], functools.partial(build, hang=0, marker=marker), 1, lambda row: None, lost, 120.0)


def _is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_row_that_cannot_be_written_is_no_workers_death(expected, tmp_path, disk):
    """A full disk stops the run; nothing is played again, and what was written stays."""
    folder, marker, ballast = disk(64), str(tmp_path / "m"), []

    def on_row(row):
        append_row(folder / "rows.jsonl", row)
        if not ballast:
            ballast.append(fill(folder))

    with pytest.raises(OSError, match="No space left") as error:
        play_all(range(40), functools.partial(build, marker=marker), 2, on_row, lost)
    assert error.value.filename == str(folder / "rows.jsonl")
    assert len((tmp_path / "m.pids").read_text().split()) <= 2, "no worker was begun anew"
    assert not multiprocessing.active_children()
    ballast[0].unlink()
    kept = read_rows(folder / "rows.jsonl")
    assert kept and all({**row, "wall_s": 0} == {**expected[row["episode"]], "wall_s": 0} for row in kept if row["episode"] < 6)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError(32, "Broken pipe"), EOFError("mine"), KeyError("mine")])
def test_an_error_in_taking_a_row_is_its_own(tmp_path, error):
    marker = str(tmp_path / "m")

    def on_row(row):
        raise error

    with pytest.raises(type(error)) as raised:
        play_all(range(3), functools.partial(build, marker=marker), 1, on_row, lost)
    assert raised.value is error
    assert len((tmp_path / "m.pids").read_text().split()) == 1


@pytest.mark.parametrize(
    ("error", "raised", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "videos/a.mp4"), Failed, "videos/a.mp4: No space left on device"),
        (Failed("the video could not be written"), Failed, "the video could not be written"),
        (BadInput("seed=1: of the training"), BadInput, "seed=1: of the training"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), RuntimeError, "BrokenPipeError"),
        (EOFError("of a file"), RuntimeError, "EOFError: of a file"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), RuntimeError, "ConnectionResetError"),
    ],
)
def test_an_error_in_a_worker_is_told_as_what_it_is(tmp_path, error, raised, says):
    marker = str(tmp_path / "m")
    with pytest.raises(raised, match=re.escape(says)):
        play_all(range(3), functools.partial(build, fail=0, error=error, marker=marker), 1, lambda row: None, lost)
    assert len((tmp_path / "m.pids").read_text().split()) == 1, "it was not taken for the worker's death"
