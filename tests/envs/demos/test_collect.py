"""Collecting, drawing again and replaying in the real simulator, small."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.demos import collect, render, replay
from envs.demos.collect_settings import check_seed
from envs.demos.episodes import episode_paths, frame_pairs, read_episode, write_episode
from whatwhere.command import command
from whatwhere.errors import BadInput
from whatwhere.owned import owned

SETTINGS = collect.Settings(
    task="pick_at_xy",
    source="expert",
    n=2,
    seed=5,
    noise=0.2,
    slips=0.0,
    rendering="fast",
    size=32,
    frame_gap=4,
    horizon=None,
    num_workers=1,
    development=False,
    out=None,
)


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", f"envs.demos.{module}", *arguments], capture_output=True, text=True, timeout=200)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        command("envs.conf", "collect", collect.Settings, collect.main, arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_an_expert_that_cannot_slip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steady.py").write_text("class Steady:\n    def __init__(self, noise=0.0, rng=None): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match=r"slips=0.02: expert=steady:Steady cannot slip .*; give slips=0"):
        collect.Recorder(dataclasses.replace(SETTINGS, expert="steady:Steady", slips=0.02))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("task=pick_at_xy n=0", "n=0: must be at least 1"),
        ("task=pick_at_xy n=-1", "n=-1: must be at least 1"),
        ("task=pick_at_xy n=many", "n=many: needs"),
        ("n=3", "task: missing"),
        ("task=pick_at_yx", "did you mean pick_at_xy?"),
        ("task=pick_at_xy noise=-0.1", "noise=-0.1"),
        ("task=pick_at_xy source=me", "source=me: unknown; valid: expert"),
        ("task=pick_at_xy rendering=slow", "rendering=slow"),
        ("task=pick_at_xy seed=200000", "at most 199999; demonstrations take seeds 0–99999"),
        ("task=pick_at_xy seed=100000", "development=true"),
        ("task=pick_at_xy seed=200000 development=true", "others are for evaluation"),
        ("task=pick_at_xy sed=3", "did you mean seed?"),
    ],
)
def test_bad_settings_are_refused_before_a_simulator_is_imported(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    assert message in refusal(capsys, *arguments.split())


def test_development_seeds_are_allowed_on_request() -> None:
    check_seed(100_000, development=True)
    with pytest.raises(BadInput, match="seed=1000000"):
        check_seed(1_000_000, development=True)


def test_slips_are_the_tasks_own_unless_given() -> None:
    """What files depend on says the number, so that folders of earlier versions carry on, and those of another number are refused."""
    for task, expected in (("pick_at_xy", 0.02), ("stack_centered", 0.04)):
        own = dataclasses.replace(SETTINGS, task=task, slips=None)
        assert own.slipping == own.content()["slips"] == expected
        assert own.folder == dataclasses.replace(own, slips=expected).folder
    assert dataclasses.replace(SETTINGS, task="stack_centered", slips=0.0).slipping == 0


def test_the_folder_is_named_after_the_settings() -> None:
    assert SETTINGS.folder == Path("data/pick_at_xy/expert-seed5-noise0.2-slips0-fast32")
    changed = [
        dataclasses.replace(SETTINGS, **{key: value}).folder for key, value in (("seed", 6), ("noise", 0.0), ("size", 48), ("frame_gap", 2), ("horizon", 50))
    ]
    assert len({SETTINGS.folder, *changed}) == 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("demos") / "pick"
    collect.main(dataclasses.replace(SETTINGS, out=str(place)))
    return place


def test_a_full_disk_loses_no_episode(folder: Path, disk: Callable[[int], Path]) -> None:
    sizes = [path.stat().st_size for path in episode_paths(folder)]
    out = disk(max(sizes) // 1024 + 40) / "pick"  # for one, not for two
    settings = dataclasses.replace(SETTINGS, out=str(out))
    with pytest.raises(OSError, match="No space left") as error:
        collect.main(settings)
    assert ".start_" in str(error.value.filename) and not list(out.glob("*.tmp"))
    assert episode_paths(out)[0].read_bytes() == episode_paths(folder)[0].read_bytes()
    subprocess.run(["mount", "-o", "remount,size=4m", str(out.parent)], check=True)
    collect.main(settings)
    assert [path.read_bytes() for path in episode_paths(out)] == [path.read_bytes() for path in episode_paths(folder)]
    assert (out / "starts.jsonl").read_bytes() == (folder / "starts.jsonl").read_bytes()


def test_what_is_complete_is_not_written_again(folder: Path, sealed: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]) -> None:
    sealed(folder)
    collect.main(dataclasses.replace(SETTINGS, out=str(folder)))
    assert "2 demonstrations in" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"out=.*cannot be written"):
        collect.main(dataclasses.replace(SETTINGS, out=str(folder), n=3))


def test_episodes_say_what_they_are(folder: Path) -> None:
    episodes = [read_episode(path) for path in episode_paths(folder)]
    assert [path.name for path in episode_paths(folder)] == ["episode_0.hdf5", "episode_1.hdf5"]
    for episode in episodes:
        assert episode.success
        assert episode.instruction == "pick up the red cube"
        assert episode.frames is not None
        assert episode.frames.shape == (len(episode), 2, 32, 32, 3)
        assert episode.executed_actions is not None
        assert not np.array_equal(episode.actions, episode.executed_actions)
        attrs = episode.attrs
        assert {attrs[key] for key in ("task", "seed", "rendering", "size", "control_hz")} == {"pick_at_xy", 5, "fast", 32, 20}
        assert attrs["cameras"] == ["agentview", "robot0_eye_in_hand"]
        assert attrs["versions"]["mujoco"]
        assert attrs["model_file"].startswith("<mujoco")
        assert attrs["position_error_cm"] < 2
    assert episodes[0].attrs["init_hash"] != episodes[1].attrs["init_hash"]


def test_frames_are_those_that_the_environment_showed(folder: Path) -> None:
    import envs

    episode = read_episode(episode_paths(folder)[0])
    assert episode.frames is not None
    pairs = frame_pairs(episode.frames, 4)
    env = envs.make("pick_at_xy", size=32)
    observation, info = env.reset(seed=5, options={"episode": episode.attrs["episode"]})
    assert info["init_hash"] == episode.attrs["init_hash"]
    for step in range(12):
        np.testing.assert_array_equal(observation["frames"], pairs[step])
        np.testing.assert_array_equal(observation["proprio"], episode.proprio[step])
        np.testing.assert_array_equal(env.get_state(), episode.states[step])
        observation, *_ = env.step(episode.executed_actions[step])  # type: ignore[index]
    env.close()


def test_the_same_command_continues_and_adds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.glob("*.hdf5")}
    (folder / "episode_1.hdf5").unlink()
    collect.main(dataclasses.replace(SETTINGS, out=str(folder)))
    assert {path.name: path.read_bytes() for path in folder.glob("*.hdf5")} == before
    assert "2 demonstrations in" in capsys.readouterr().out


def test_other_settings_strange_files_and_a_second_collector_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds results of other settings"):
        collect.main(dataclasses.replace(SETTINGS, out=str(folder), seed=6))
    with owned(folder), pytest.raises(BadInput, match="another process is writing"):
        collect.main(dataclasses.replace(SETTINGS, out=str(folder)))
    (tmp_path / "episode_0.hdf5").touch()
    with pytest.raises(BadInput, match="not collected by this command"):
        collect.main(dataclasses.replace(SETTINGS, out=str(tmp_path)))


@pytest.mark.parametrize("start", ["seed", "state"])
def test_replay_reaches_the_same_states(folder: Path, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    replay.main(replay.Settings(str(folder), start, 1e-6))  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == ["episode_0.hdf5: ok · drift 0", "episode_1.hdf5: ok · drift 0", "2 of 2 replayed"]


def test_replay_fails_for_an_episode_that_no_longer_works(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = read_episode(episode_paths(folder)[0])
    idle = dataclasses.replace(good, executed_actions=np.zeros_like(good.actions))
    elsewhere = dataclasses.replace(good, attrs={**good.attrs, "init_hash": "0" * 16})
    for number, episode in enumerate((good, idle, elsewhere)):
        write_episode(tmp_path / f"episode_{number}.hdf5", episode)
    with pytest.raises(SystemExit) as left:
        replay.main(replay.Settings(str(tmp_path), "seed", 1e-6))
    out = capsys.readouterr().out
    assert left.value.code == 1
    assert "episode_0.hdf5: ok" in out
    assert "episode_1.hdf5: FAILED: drifts by" in out
    assert "episode_2.hdf5: FAILED: the start is another one" in out
    assert out.endswith("1 of 3 replayed\n")


def test_drawing_again_gives_the_same_pictures_or_others(folder: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    render.main(render.Settings(str(folder), None, None, None, str(same)))
    render.main(render.Settings(str(folder), None, 48, ("robot0_eye_in_hand",), str(other)))
    for path in episode_paths(folder):
        recorded, again, changed = read_episode(path), read_episode(same / path.name), read_episode(other / path.name)
        np.testing.assert_array_equal(again.frames, recorded.frames)  # type: ignore[arg-type]
        assert changed.frames is not None
        assert changed.frames.shape == (len(recorded), 1, 48, 48, 3)
        assert (changed.attrs["size"], changed.attrs["cameras"]) == (48, ["robot0_eye_in_hand"])
        np.testing.assert_array_equal(changed.states, recorded.states)
        assert changed.attrs["init_hash"] == recorded.attrs["init_hash"]
    with pytest.raises(BadInput, match="other settings"):
        render.main(render.Settings(str(folder), None, 40, None, str(other)))
    with pytest.raises(BadInput, match="the folder of the demonstrations themselves"):
        render.main(render.Settings(str(folder), None, None, None, str(folder)))


@pytest.mark.parametrize("module", ["replay", "render"])
def test_missing_demonstrations_are_bad_input(module: str, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing", tmp_path / "missing.hdf5"):
        done = run(module, f"demos={place}")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_nothing_finished_is_lost(tmp_path: Path) -> None:
    wanted = dataclasses.asdict(SETTINGS) | {"num_workers": 2, "n": 14}
    arguments = [f"{key}={value}" for key, value in wanted.items() if value not in (None, ())]
    clock, killed, whole = random.Random(0), tmp_path / "killed", tmp_path / "whole"
    assert run("collect", *arguments, f"out={whole}").returncode == 0
    for attempt in range(10):
        process = subprocess.Popen([sys.executable, "-m", "envs.demos.collect", *arguments, f"out={killed}"], stdout=subprocess.PIPE, text=True)
        if attempt % 5:
            process.stdout.readline()  # type: ignore[union-attr]  # the first episode that this run finished
        time.sleep(clock.uniform(0, 1))
        finished = {path.name: path.read_bytes() for path in killed.glob("episode_*.hdf5")}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert finished.items() <= {path.name: path.read_bytes() for path in killed.glob("episode_*.hdf5")}.items()
        time.sleep(0.5)  # its workers end with it
    assert run("collect", *arguments, f"out={killed}").returncode == 0
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in killed.iterdir())
    assert all((whole / name).read_bytes() == (killed / name).read_bytes() for name in names)
    assert json.loads((killed / "settings.json").read_text())["seed"] == 5
