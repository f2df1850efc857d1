"""Demonstrations multiplied in the real simulator, small."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from envs.demos import collect, convert, inspect, multiply, replay
from envs.demos.episodes import episode_paths, read_attrs, read_episode, write_episode
from envs.demos.multiplication.legs import Approach, Carry
from envs.demos.multiplication.scene import Scene
from envs.demos.multiplication.segments import holds
from envs.demos.multiplication.sources import Frame
from envs.demos.multiplication.trace import trace_of
from envs.demos.starts import Starts
from envs.teleop.device import Command
from envs.teleop.session import Session
from tests.envs.demos.demo_files import made_up, write_folder
from tests.envs.demos.test_collect import SETTINGS as COLLECTED
from tests.envs.demos.test_collect import run
from whatwhere.command import command, parse

NEAR_M, SLOW_WITHIN_M = 0.006, 0.05


def settings(*words: str) -> multiply.Settings:
    return parse("envs.conf", "multiply", multiply.Settings, list(words))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two picks of the expert, with noise and slips."""
    folder = tmp_path_factory.mktemp("recorded") / "pick"
    collect.main(dataclasses.replace(COLLECTED, noise=0.3, slips=0.02, out=str(folder)))
    return folder


@pytest.fixture(scope="module")
def multiplied(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made of the two; on starts of the same seed, so that two of them are the sources' own."""
    folder = tmp_path_factory.mktemp("multiplied") / "pick"
    multiply.main(settings(f"src={recorded}", "n=3", "seed=5", "noise=0.1", "slips=0", f"out={folder}"))
    return folder


def test_new_demonstrations_succeed_elsewhere_and_say_what_they_are_made_of(recorded: Path, multiplied: Path) -> None:
    sources = [read_attrs(path) for path in episode_paths(recorded)]
    made = [read_episode(path) for path in episode_paths(multiplied)]
    assert len(made) == 3 and all(episode.success for episode in made)
    starts = {source["init_hash"] for source in sources}
    for episode in made:
        assert episode.attrs["source"] == "multiplied" and episode.attrs["noise"] == 0.1
        assert episode.attrs["init_hash"] not in starts
        said = episode.attrs["multiplied"]
        assert [original["sha256"] for original in said["originals"]] == [source["sha256"] for source in sources]
        assert said["originals"][0]["file"] == "episode_0.hdf5" and said["originals"][1]["seed"] == 5
        assert [segment["about"] for segment in said["segments"]][:2] == ["target", "a fixed place"]
        assert all(segment["source"] in (0, 1) for segment in said["segments"])
        assert episode.frames is not None and episode.frames.std() > 10
        assert np.abs(episode.executed_actions - episode.actions)[:, :6].max() > 0.01  # type: ignore[operator]
        assert set(np.unique(episode.actions[:, 6])) == {-1, 1}
    rows = [json.loads(line) for line in (multiplied / "starts.jsonl").read_text().splitlines()]
    skipped = [row for row in rows if row["failure"] == multiply.A_SOURCES_START]
    assert {row["init_hash"] for row in skipped} == starts & {row["init_hash"] for row in rows} and len(skipped) >= 1
    assert all(row["steps"] == 0 for row in skipped)


def test_they_replay_from_their_seeds(multiplied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay.main(replay.Settings(str(multiplied), "seed", 1e-9))  # type: ignore[arg-type]
    assert capsys.readouterr().out.endswith("3 of 3 replayed\n")


def test_inspect_shows_what_they_are_made_of(recorded: Path, multiplied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [read_attrs(path)["multiplied"] for path in episode_paths(multiplied)]
    used = len({segment["source"] for said in made for segment in said["segments"]})
    line = f"3 demonstrations made of 2 recorded ones, of which segments of {used} were used: episode_0.hdf5, episode_1.hdf5"
    for demos, told in ((multiplied, True), (recorded, False)):
        inspect.main(parse("envs.conf", "inspect", inspect.Settings, [f"demos={demos}", "starts=0", f"out={tmp_path / 'page.html'}"]))
        assert (f"multiplied: {line}\n" in capsys.readouterr().out) is told
        assert (line in (tmp_path / "page.html").read_text()) is told


def test_the_same_command_adds_and_mends(recorded: Path, multiplied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"src={recorded}", "seed=5", "noise=0.1", "slips=0", f"out={multiplied}"]
    before = {path.name: path.read_bytes() for path in multiplied.glob("*.hdf5")}
    (multiplied / "episode_1.hdf5").unlink()
    multiply.main(settings(*words, "n=3"))
    assert {path.name: path.read_bytes() for path in multiplied.glob("*.hdf5")} == before
    assert "3 demonstrations in" in capsys.readouterr().out
    rows = (multiplied / "starts.jsonl").read_text()
    last = rows.splitlines(keepends=True)[-1]
    (multiplied / "starts.jsonl").write_text(rows.removesuffix(last))  # killed between the file and its row
    Starts(multiplied)
    assert (multiplied / "starts.jsonl").read_text() == rows
    assert refusal(capsys, *words, "n=3", "select=random").count("holds results of other settings (select=") == 1


def test_they_keep_what_they_say_in_other_formats(multiplied: Path, tmp_path: Path) -> None:
    for to, name in (("robomimic", "pick.hdf5"), ("lerobot", "pick")):
        if to == "lerobot":
            pytest.importorskip("pyarrow")
        for words in ((f"src={multiplied}", f"out={tmp_path / name}", f"to={to}"), (f"src={tmp_path / name}", f"out={tmp_path / to}", "to=folder")):
            convert.main(parse("envs.conf", "convert", convert.Settings, list(words)))
        for ours, back in zip(episode_paths(multiplied), episode_paths(tmp_path / to), strict=True):
            assert read_attrs(back)["multiplied"] == read_attrs(ours)["multiplied"]


# ---- where segments begin and end, in recordings


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    one = envs.make("pick_at_xy", size=16, horizon=600)
    yield one
    one.close()


def test_the_boundaries_of_the_expert(recorded: Path, env: Any) -> None:
    env.reset(seed=0)
    for path in episode_paths(recorded):
        trace = trace_of(Scene(env), read_episode(path, frames=False))
        check_pick(trace)


def test_what_is_let_go_as_the_episode_ends(recorded: Path, env: Any) -> None:
    """The gripper opens, and a step later all is over: the fingers had hardly left it."""
    env.reset(seed=0)
    trace = trace_of(Scene(env), read_episode(episode_paths(recorded)[0], frames=False))
    told = np.arange(len(trace)) < len(trace) - 2
    (hold,) = holds(dataclasses.replace(trace, closing=trace.closing & told, meant_closing=trace.meant_closing & told))
    assert hold.is_let_go and hold.opening == len(trace) - 2
    slipped = dataclasses.replace(trace, closing=trace.closing & told)  # it was meant to stay closed
    assert not holds(slipped)[0].is_let_go
    pushed = dataclasses.replace(trace, meant_closing=trace.meant_closing & told)  # meant to open, and kept closed by a slip
    assert not holds(pushed)[0].is_let_go


def test_fingers_that_closed_on_nothing_before_do_not_count_as_open(recorded: Path, env: Any) -> None:
    env.reset(seed=0)
    scene = Scene(env)
    trace = trace_of(scene, read_episode(episode_paths(recorded)[0], frames=False))
    (hold,) = holds(trace)
    held = trace.fingers[hold.grasped]
    fingers = trace.fingers.copy()
    fingers[hold.begin] = held - 2 * (fingers[hold.closing] - held)  # farther from the object's width than wide open, the other way
    approach = Approach(dataclasses.replace(trace, fingers=fingers), hold, scene.symmetry["target"], scene.moment())
    assert approach.openness(fingers[hold.closing]) > 0.8 and approach.openness(fingers[hold.begin]) < -1


def test_a_source_that_ends_as_soon_as_it_has_grasped(recorded: Path, env: Any) -> None:
    """There is nothing to carry: what follows the grasp goes on as the source did at last, and is never without a step."""
    env.reset(seed=0)
    scene = Scene(env)
    trace = trace_of(scene, read_episode(episode_paths(recorded)[0], frames=False))
    end, now = len(trace), scene.moment()
    hold = dataclasses.replace(holds(trace)[0], left=end, goal=end, opening=end, end=end)
    carry = Carry(trace, hold, Frame(None), scene.symmetry, now.objects["target"][0], now)
    assert list(carry.steps) == [end - 1] and np.isfinite(carry.aim(0, now).pos).all()


def test_the_boundaries_of_a_person(env: Any, tmp_path: Path) -> None:
    """By the keys of the test driver, decided late: jerky, with waits, and with a first try beside the cube."""
    keys = Keys(env, tmp_path)
    keys.pick()
    trace = trace_of(Scene(env), read_episode(episode_paths(tmp_path)[0], frames=False))
    tries = np.flatnonzero(np.diff(trace.closing.astype(int)) == 1)
    assert len(tries) == 2
    hold = check_pick(trace)
    assert hold.closing == tries[-1] + 1


def check_pick(trace: Any) -> Any:
    (hold,) = holds(trace)
    assert hold.name == "target" and not hold.is_let_go
    assert trace.meant_closing[hold.closing : hold.grasped].all() and not trace.closing[hold.closing - 1]
    assert np.linalg.norm(trace.hand_pos[hold.closing] - trace.objects["target"][hold.closing]) < 0.025
    assert np.linalg.norm(trace.hand_pos[hold.near] - trace.hand_pos[hold.closing]) < 0.08
    rises = trace.objects["target"][:, 2] - trace.objects["target"][0, 2]
    assert rises[: hold.grasped].max() < 0.010 and rises[-1] > 0.05  # nothing was lifted before, and something was after
    return hold


class Keys:
    """Fingers on keys, two control steps late, before a session that does not wait. A device, too."""

    paced, asks = False, False

    def __init__(self, env: Any, folder: Path) -> None:
        attrs = {"source": "browser", "noise": 0.0}
        self.session = Session(env, self, Starts(folder), n=1, seed=3, attrs=attrs, view=32)
        self.late: list[Command] = []
        self.missed = False

    def open(self, env: Any) -> None: ...

    def begin(self, seed: int, start: int) -> Any:
        return "play"

    def show(self, status: Any, pictures: Any) -> None: ...

    def close(self) -> None: ...

    def pick(self) -> None:
        self.session.begin()
        for _ in range(600):
            self.session.tick()
            if self.session.starts.num_files:
                return
        raise AssertionError(f"not picked up: {self.session.status()}")

    def read(self) -> Command:
        session = self.session
        if session.state != "recording":
            self.late.clear()
            return Command(buttons=("start" if session.state == "ready" else "save",))
        away = session.info["privileged/target_pos_world"] - session.info["privileged/gripper_pos_world"]
        closed, width = session._closed, float(session.info["privileged/gripper_width_m"])
        if not self.missed and np.abs(away[:2]).max() < 2 * NEAR_M and away[2] > -0.08:  # closes too high …
            self.missed = True
            return Command(buttons=("gripper",))
        if closed and away[2] < -0.03:  # … and opens again
            return Command(buttons=("gripper",)) if width < 0.02 else Command()
        self.late.append(self.decide(away, closed, width))
        return self.late.pop(0) if len(self.late) > 2 and not self.late[-1].buttons else self.late.pop()

    def decide(self, away: np.ndarray, closed: bool, width: float) -> Command:
        if closed:
            return Command(move=(0, 0, float(width < 0.0445)))
        move = [float(np.sign(away[1])) * (abs(away[1]) > NEAR_M), -float(np.sign(away[0])) * (abs(away[0]) > NEAR_M), 0.0]
        level = float(np.abs(away[:2]).max())
        move[2] = -float(level < 2 * NEAR_M and away[2] < -0.01)
        slow = level < SLOW_WITHIN_M and (away[2] > -0.06 or not move[2])
        return Command(move=(move[0], move[1], move[2]), speed=0.12 if slow else 0.4) if any(move) else Command(buttons=("gripper",))


# ---- what is refused


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        command("envs.conf", "multiply", multiply.Settings, multiply.main, arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("n=3", "src: missing"),
        ("src=nowhere", "nowhere: no such folder of demonstrations"),
        ("src=nowhere n=0", "n=0: must be at least 1"),
        ("src=nowhere n=4 num_demos=5", "n=4: new demonstrations are made of num_demos=5"),
        ("src=nowhere select=best", "select=best: unknown; valid: nearest, random"),
        ("src=nowhere seed=200000", "others are for evaluation"),
        ("src=nowhere seed=100000", "development=true"),
        ("src=nowhere sed=3", "did you mean seed?"),
    ],
)
def test_bad_settings_are_refused(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    assert message in refusal(capsys, *arguments.split())


def changed(recorded: Path, folder: Path, **changes: Any) -> str:
    for path in episode_paths(recorded):
        episode = read_episode(path)
        attrs = episode.attrs | changes.pop("attrs", {})
        write_episode(folder / path.name, dataclasses.replace(episode, attrs=attrs, **changes))
    return f"src={folder}"


def test_demonstrations_that_cannot_be_multiplied_are_refused(recorded: Path, multiplied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "n=1: " in refusal(capsys, f"src={recorded}", "n=1")
    assert "num_demos=9" in refusal(capsys, f"src={recorded}", "num_demos=9")
    assert "was made by this command" in refusal(capsys, f"src={multiplied}")
    assert "none of its 2 demonstrations succeeded" in refusal(capsys, changed(recorded, tmp_path / "failed", success=False))
    assert "task=stack_centered: " in refusal(capsys, f"src={recorded}", "task=stack_centered")
    assert "made_up" in refusal(capsys, f"src={write_folder(tmp_path / 'strange')}")
    assert "is the folder of the demonstrations themselves" in refusal(capsys, f"src={recorded}", f"out={recorded}")
    write_episode(tmp_path / "full" / "episode_0.hdf5", made_up())
    assert "not made by this command" in refusal(capsys, f"src={recorded}", f"out={tmp_path / 'full'}")


def test_demonstrations_without_states_or_without_a_grasp_are_refused(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = read_episode(episode_paths(recorded)[0])
    stateless = changed(
        recorded, tmp_path / "stateless", states=np.zeros((len(one), 1)), **{n: getattr(one, n) for n in ("actions", "proprio", "frames", "executed_actions")}
    )
    assert "states of 1 numbers" in refusal(capsys, stateless, f"out={tmp_path / 'a'}")
    still = {"states": np.repeat(one.states[:1], len(one), axis=0), **{n: getattr(one, n) for n in ("actions", "proprio", "frames", "executed_actions")}}
    assert "in none of 2 demonstrations an object is grasped" in refusal(capsys, changed(recorded, tmp_path / "still", **still), f"out={tmp_path / 'b'}")


def test_a_base_that_drives_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "drive"
    collect.main(dataclasses.replace(COLLECTED, task="navigate_to", n=1, out=str(folder)))
    assert "task=navigate_to: multiplied are demonstrations of one arm" in refusal(capsys, f"src={folder}", f"out={tmp_path / 'a'}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_nothing_finished_is_lost(recorded: Path, tmp_path: Path) -> None:
    arguments = [f"src={recorded}", "n=14", "num_workers=2"]
    clock, killed, whole = random.Random(0), tmp_path / "killed", tmp_path / "whole"
    assert run("multiply", *arguments[:2], f"out={whole}").returncode == 0  # in one process
    for attempt in range(8):
        process = subprocess.Popen([sys.executable, "-m", "envs.demos.multiply", *arguments, f"out={killed}"], stdout=subprocess.PIPE, text=True)
        if attempt % 4:
            for _ in range(2):
                process.stdout.readline()  # type: ignore[union-attr]  # what is done, and the first start that this run finished
        time.sleep(clock.uniform(0, 1))
        finished = {path.name: path.read_bytes() for path in killed.glob("episode_*.hdf5")}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert finished.items() <= {path.name: path.read_bytes() for path in killed.glob("episode_*.hdf5")}.items()
        time.sleep(0.5)  # its workers end with it
    assert run("multiply", *arguments, f"out={killed}").returncode == 0
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(path.name for path in killed.iterdir())
    assert all((whole / name).read_bytes() == (killed / name).read_bytes() for name in names)
