"""`eval.run` on disks that fill up or cannot be written, and with nobody listening: no row is lost, and nothing is told that is not so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.video import num_frames
from eval import results, run
from eval.playing.settings import Settings
from eval.results import load_rows
from tests.disks import ROOT, fill, one_line
from tests.disks import run as run_command
from tests.eval.test_run import row
from whatwhere.command import parse
from whatwhere.errors import Failed

PLAIN = ["task=pick_at_xy", "policy=zero", "video=0"]


def evaluate(out: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_command("tests.eval.fake_run", *PLAIN, f"out={out}", *words, **options)


def strip(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "wall_s": 0} for one in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty episodes without any trouble."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = evaluate(out, "episodes=30")
    assert done.returncode == 0, done.stderr
    return out


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_the_disk_fills_while_rows_are_written(disk: Callable[[int], Path], tmp_path: Path, whole: Path) -> None:
    folder = disk(256)
    out, pids = folder / "out", tmp_path / "pids"
    words = [sys.executable, "-m", "tests.eval.fake_run", *PLAIN, "episodes=30", "num_envs=2", f"out={out}"]
    variables = {"PYTHONPATH": str(ROOT), "FAKE_PIDS": str(pids), "FAKE_DELAY": "0.1"}
    process = subprocess.Popen(words, cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (out / "episodes.jsonl").exists() and len(load_rows(out)) >= 2, process)
    ballast = fill(folder)
    said, errors = process.communicate(timeout=120)
    one_line(subprocess.CompletedProcess(words, process.returncode, said, errors), 1, str(out / "episodes.jsonl"), "No space left", "same command again")
    assert "success 0.000" not in said and not (out / "results.json").exists(), "nothing is scored"
    assert len((tmp_path / "pids.pids").read_text().split()) <= 2, "no worker was begun anew"
    ballast.unlink()
    kept = load_rows(out)
    assert 2 <= len(kept) < 30
    done = evaluate(out, "episodes=30")
    assert done.returncode == 0 and f"{len(kept)} of them are there already" in done.stdout, done.stderr
    assert strip(load_rows(out)) == strip(load_rows(whole))
    assert json.loads((out / "results.json").read_text())["episodes"] == 30


def test_the_disk_is_full_when_it_is_scored(disk: Callable[[int], Path], whole: Path) -> None:
    folder = disk(64)
    out = folder / "out"
    out.mkdir()
    for name in ("settings.json", "episodes.jsonl"):
        (out / name).write_bytes((whole / name).read_bytes())
    ballast = fill(folder)
    done = evaluate(out, "episodes=30")
    one_line(done, 1, str(out), "No space left")
    assert "success 0.000" not in done.stdout and not (out / "results.json").exists()
    ballast.unlink()
    assert evaluate(out, "episodes=30").returncode == 0
    assert strip(load_rows(out)) == strip(load_rows(whole))


def test_a_video_that_cannot_be_written_is_told_of_and_made_later(disk: Callable[[int], Path]) -> None:
    folder = disk(1024)
    out, words = folder / "out", ["episodes=3", "video=2"]
    ballast = fill(folder, leave=24_000)
    done = evaluate(out, *words)
    one_line(done, 1, "episode_0.mp4", "No space left")
    assert not list((out / "videos").iterdir()) and not load_rows(out) and not (out / "results.json").exists()
    ballast.unlink()
    done = evaluate(out, *words)
    assert done.returncode == 0, done.stderr
    assert [one["video"] for one in load_rows(out)] == ["videos/episode_0.mp4", "videos/episode_1.mp4", None]
    film = out / "videos" / "episode_1.mp4"
    frames, content = num_frames(film), film.read_bytes()
    assert frames == 61, "the start, 40 steps, and a second at the end"
    film.write_bytes(content[: len(content) // 2])  # as earlier versions left it when the disk was full
    done = evaluate(out, *words)
    assert done.returncode == 0 and "2 of them are there already" in done.stdout
    assert num_frames(film) == frames


def test_nobody_listens(tmp_path: Path) -> None:
    done = run_command(
        shell=f"{{python}} -m tests.eval.fake_run {' '.join(PLAIN)} episodes=40 num_envs=1 out={tmp_path / 'out'} | head -1",
        more={"FAKE_PIDS": str(tmp_path / "a"), "FAKE_DELAY": "0.05"},
    )
    assert done.stdout.startswith("pick_at_xy · zero") and not done.stderr.replace("\n", "")
    assert len((tmp_path / "a.pids").read_text().split()) == 1, "no worker was killed and begun anew"
    one_line(run_command(shell=f"{{python}} -m tests.eval.fake_run {' '.join(PLAIN)} out={tmp_path / 'b'} > /dev/full"), 1, "No space left")


def test_a_folder_that_can_only_be_read(tmp_path: Path, sealed: Callable[[Path], Path]) -> None:
    for name in ("whole", "part"):
        assert evaluate(tmp_path / "all" / name, "episodes=3").returncode == 0
    rows = tmp_path / "all" / "part" / "episodes.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:2]))
    folder = sealed(tmp_path / "all")
    done = evaluate(folder / "whole", "episodes=3")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith("· 3 episodes"), done.stderr
    for name in ("part", "new"):
        one_line(evaluate(folder / name, "episodes=3"), 2, f"out={folder / name}: cannot be written (Read-only file system)")
    one_line(evaluate(folder / "whole", "episodes=4"), 2, "now episodes=4")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_result_is_never_scored_with_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: int) -> None:
    def play_all(episodes: Any, build: Any, num_envs: int, on_row: Any, *rest: Any, **more: Any) -> None:
        for episode in episodes:
            on_row(row(episode))

    def add_row(folder: Path, one: dict[str, Any]) -> None:
        if one["episode"] != lost:
            kept(folder, one)

    kept = results.add_row
    monkeypatch.setattr(run, "play_all", play_all)
    monkeypatch.setattr(results, "add_row", add_row)
    with pytest.raises(Failed, match=rf"episodes\.jsonl: has no row of episode {lost}: not scored"):
        run.main(parse("eval.conf", "run", Settings, [*PLAIN, "episodes=3", f"out={tmp_path}"]))
    assert "success 1.000" not in capsys.readouterr().out
    assert not (tmp_path / "results.json").exists()


def test_a_report_that_cannot_be_written(whole: Path, disk: Callable[[int], Path]) -> None:
    folder = disk(64)
    ballast = fill(folder, leave=8192)
    done = run_command("eval.report", f"folders={whole}", f"out={folder / 'report'}")
    one_line(done, 1, str(folder / "report"), "No space left on device")
    assert not [path for path in (folder / "report").iterdir() if path.suffix in (".tmp", ".png")]
    ballast.unlink()
    assert run_command("eval.report", f"folders={whole}", f"out={folder / 'report'}", "pictures=false").returncode == 0
    document = folder / "a.md"
    document.write_text("<!-- begin:x -->\nold\n<!-- end:x -->\n" + "text\n" * 100)
    before = document.read_bytes()
    fill(folder)
    one_line(run_command("eval.report", f"folders={whole}", "out=null", f"into={document}", "block=x"), 1, f"{document}: No space left on device")
    assert document.read_bytes() == before
