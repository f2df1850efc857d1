"""The control loop with a scripted hand, in the real simulator, small: buttons, files, stillness, full disks, recovery."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import envs
from envs.demos import journal
from envs.demos.collect import Settings, main
from envs.demos.episodes import episode_paths, frame_pairs, read_episode
from envs.demos.replay import replay
from envs.demos.starts import Starts
from envs.experts import EXPERTS
from envs.teleop import session as module
from envs.teleop.device import ABSENT, STILL, Command, Status
from envs.teleop.session import SETTLING_STEPS, Session
from envs.teleop.take import JOURNAL
from whatwhere.command import parse
from whatwhere.errors import BadInput
from whatwhere.owned import owned

RIGHT = Command(move=(0.5, 0, 0))


class Hand:
    """Says in each tick what it was told to say; nothing afterwards. Paced, but by a clock that does not wait."""

    paced, asks = True, True

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.shown: list[Status] = []

    def open(self, env: Any) -> None: ...

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        return "play"

    def read(self) -> Command:
        return self.commands.pop(0) if self.commands else Command()

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        self.shown.append(status)

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    one = envs.make("pick_at_xy", size=32)
    one.horizon = 300
    yield one
    one.close()


class Desk:
    """A session and the hand before it."""

    def __init__(self, env: Any, folder: Path, n: int = 3, **options: Any) -> None:
        self.hand, self.said = Hand(), []
        self.session = Session(env, self.hand, Starts(folder), n=n, seed=0, attrs={"source": "browser"}, view=32, say=self.said.append, **options)
        self.session.pace._sleep = lambda seconds: None
        self.session.begin()

    def do(self, *commands: Command, times: int = 1) -> None:
        for _ in range(times):
            for command in commands:
                self.hand.commands = [command]
                self.session.tick()

    def press(self, *buttons: str) -> None:
        for button in buttons:
            self.do(Command(buttons=(button,)))

    def solve(self, patience: int = 120) -> None:
        """As the expert would, by actions."""
        expert = EXPERTS["pick_at_xy"]()
        expert.reset()
        self.press("start")
        while self.session.state == "recording":
            self.do(Command(action=np.clip(expert.act(self.session.info), -1, 1)))
            patience -= 1
            assert patience

    @property
    def status(self) -> Status:
        return self.session.status()


@pytest.fixture
def desk(env: Any, tmp_path: Path) -> Desk:
    return Desk(env, tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def test_an_episode_is_there_the_moment_it_is_saved(desk: Desk, tmp_path: Path, env: Any) -> None:
    desk.solve()
    assert (desk.status.state, desk.status.success) == ("review", True) and desk.status.rate["ticks"] > 20
    desk.press("save")
    assert names(tmp_path) == ["episode_0.hdf5", "starts.jsonl"] and not (tmp_path / JOURNAL).exists()
    assert (desk.status.state, desk.status.start, desk.status.saved) == ("ready", 1, 1)
    assert "Hz" in desk.status.message and any("ticks late, the longest" in line for line in desk.said)
    episode = read_episode(tmp_path / "episode_0.hdf5")
    assert episode.success and episode.instruction == "pick up the red cube"
    assert {"source": "browser", "seed": 0, "episode": 0, "horizon": 300}.items() <= episode.attrs.items()
    outcome = replay(env, episode)
    assert outcome.success and outcome.drift == 0 and outcome.same_start


def test_late_pictures_are_those_that_the_environment_showed(desk: Desk, tmp_path: Path, env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.session.pace, "time_left", lambda: -1.0)  # a machine that is always late
    desk.press("start")
    desk.do(RIGHT, times=12)
    assert desk.session.take is not None and desk.session.take.recording.undrawn == 12
    desk.press("save", "save")
    episode = read_episode(tmp_path / "failed" / "episode_0.hdf5")
    pairs = frame_pairs(episode.frames, 4)  # type: ignore[arg-type]
    observation, _ = env.reset(seed=0, options={"episode": 0})
    for step in range(12):
        np.testing.assert_array_equal(observation["frames"], pairs[step])
        np.testing.assert_array_equal(observation["proprio"], episode.proprio[step])
        np.testing.assert_array_equal(env.get_state(), episode.states[step])
        observation, *_ = env.step(episode.actions[step])


def test_failures_are_kept_apart_and_discarded_ones_are_not_kept(desk: Desk, tmp_path: Path) -> None:
    desk.press("start")
    desk.do(RIGHT, times=3)
    desk.press("save")
    assert desk.status.state == "review" and "Not solved (stopped)" in desk.status.message
    desk.press("save")
    assert names(tmp_path) == ["failed/episode_0.hdf5", "starts.jsonl"]
    failed = read_episode(tmp_path / "failed" / "episode_0.hdf5")
    assert not failed.success and failed.attrs["failure"] == "stopped"
    assert (desk.status.start, desk.status.saved, desk.status.failed) == (1, 0, 1)
    desk.press("start")
    desk.do(RIGHT, times=3)
    desk.press("discard")
    assert (desk.status.state, desk.status.start) == ("ready", 1) and not (tmp_path / JOURNAL).exists()
    desk.press("start")
    desk.press("save")
    assert desk.status.state == "recording" and "Nothing to save" in desk.status.message
    assert names(tmp_path) == ["failed/episode_0.hdf5", "starts.jsonl"]


def test_out_of_time_is_a_failure(desk: Desk, env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "horizon", 5)
    desk.press("start")
    desk.do(RIGHT, times=9)
    assert (desk.status.state, desk.status.steps) == ("review", 5) and "horizon" in desk.status.message


def test_undo_takes_the_last_one_back_and_its_start_is_played_again(desk: Desk, tmp_path: Path) -> None:
    desk.press("undo")
    assert "nothing to undo" in desk.status.message
    desk.solve()
    desk.press("undo")
    assert desk.status.state == "review" and "save or discard this one first" in desk.status.message
    desk.press("save")
    desk.press("undo")
    assert names(tmp_path) == ["starts.jsonl", "undone/episode_0.hdf5"] and (desk.status.start, desk.status.saved) == (0, 0)
    assert read_episode(tmp_path / "undone" / "episode_0.hdf5").success
    desk.solve()
    desk.press("save")
    assert "episode_0.hdf5" in names(tmp_path) and desk.status.start == 1


def test_the_press_that_starts_is_no_step_yet(env: Any, tmp_path: Path) -> None:
    desk = Desk(env, tmp_path, idle=None)
    desk.press("start")
    assert desk.status.steps == 0
    desk.do(RIGHT)
    assert desk.status.steps == 1


def test_all_done_can_still_be_undone(env: Any, tmp_path: Path) -> None:
    desk = Desk(env, tmp_path, n=1)
    desk.solve()
    desk.press("save")
    assert desk.status.state == "done" and not desk.session.over
    desk.press("undo")
    assert (desk.status.state, desk.status.start) == ("ready", 0)
    desk.press("quit")
    assert desk.session.over


def test_the_simulation_waits_for_a_command(desk: Desk) -> None:
    desk.press("start")
    desk.do(Command(), times=20)
    assert desk.status.waiting and desk.status.steps == 0
    desk.do(RIGHT, times=5)
    desk.do(Command(), times=100)
    assert desk.status.waiting and 5 + SETTLING_STEPS <= desk.status.steps < 60
    steps = desk.status.steps
    desk.press("gripper")
    assert desk.status.steps == steps + 1 and desk.status.closed
    desk.do(Command(), times=3)
    assert desk.status.steps == steps + 4


def test_idle_spans_can_be_kept(env: Any, tmp_path: Path) -> None:
    desk = Desk(env, tmp_path, idle=None)
    desk.press("start")
    desk.do(Command(), times=30)
    assert desk.status.steps == 30 and not desk.status.waiting


@pytest.mark.parametrize("idle", [10, None])
def test_the_arm_stops_when_the_operator_is_gone(env: Any, tmp_path: Path, idle: int | None) -> None:
    desk = Desk(env, tmp_path, idle=idle)
    desk.press("start")
    desk.do(RIGHT, times=10)
    assert np.abs(env.get_state()[1 + env.simulation.sim.model.nq :]).max() > 0.1
    desk.do(Command(move=(1, 1, 1), turn=(1, 1, 1), action=np.ones(7), present=False), times=100)
    assert desk.status.waiting and desk.status.steps == 10 + SETTLING_STEPS
    journal_rows = journal.read(tmp_path / JOURNAL)
    assert journal_rows is not None and all(row["action"][:6] == [0] * 6 for row in journal_rows[1][-SETTLING_STEPS:])
    hand = env.simulation.gripper_pos_world()
    desk.do(ABSENT, times=50)
    np.testing.assert_array_equal(env.simulation.gripper_pos_world(), hand)
    desk.do(RIGHT)
    assert desk.status.steps == 11 + SETTLING_STEPS


def test_a_killed_session_goes_on_where_it_stopped(env: Any, tmp_path: Path) -> None:
    first = Desk(env, tmp_path)
    first.press("start")
    first.do(RIGHT, times=20)
    first.press("gripper")
    state = env.get_state()
    found = journal.read(tmp_path / JOURNAL)
    assert found is not None and len(found[1]) == 21

    second = Desk(env, tmp_path)  # nothing was closed or saved
    assert second.status.state == "offer" and "21 steps" in second.status.message
    second.press("start", "undo", "gripper")
    assert second.status.state == "offer"
    second.press("save")
    np.testing.assert_array_equal(env.get_state(), state)
    assert (second.status.state, second.status.steps, second.status.closed) == ("recording", 21, True)
    second.do(RIGHT, times=4)
    second.press("save", "save")
    episode = read_episode(tmp_path / "failed" / "episode_0.hdf5")
    assert len(episode) == 25 and replay(env, episode).drift == 0


def test_an_unfinished_episode_can_be_dropped_or_taken_up_unasked(env: Any, tmp_path: Path) -> None:
    def leave() -> None:
        desk = Desk(env, tmp_path, recover="true")
        if desk.status.state == "ready":
            desk.press("start")
        desk.do(RIGHT, times=5)

    leave()
    assert Desk(env, tmp_path, recover="true").status.steps == 5
    leave()
    assert Desk(env, tmp_path, recover="true").status.steps == 10
    dropped = Desk(env, tmp_path, recover="false")
    assert (dropped.status.state, dropped.status.steps) == ("ready", 0) and not (tmp_path / JOURNAL).exists()
    leave()
    asked = Desk(env, tmp_path)
    asked.press("discard")
    assert asked.status.state == "ready" and not (tmp_path / JOURNAL).exists()


def test_an_episode_that_went_another_way_is_kept_as_it_was(env: Any, tmp_path: Path) -> None:
    first = Desk(env, tmp_path)
    first.press("start")
    first.do(RIGHT, times=10)
    found = journal.read(tmp_path / JOURNAL)
    assert found is not None
    header, rows = found
    for row in rows[5:]:
        row["state"][1] += 1e-9  # as on another processor
    journal.Journal(tmp_path / JOURNAL, header, rows).close()
    second = Desk(env, tmp_path, recover="true")
    second.press("save", "save")
    episode = read_episode(tmp_path / "failed" / "episode_0.hdf5")
    np.testing.assert_array_equal(episode.states, [row["state"] for row in rows])


def test_killed_between_file_and_book_the_episode_is_neither_lost_nor_doubled(env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(env, tmp_path)
    desk.solve()

    def killed(row: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(desk.session.starts, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.press("save")
    again = Desk(env, tmp_path)
    assert names(tmp_path) == ["episode_0.hdf5", "starts.jsonl"] and not (tmp_path / JOURNAL).exists()
    assert (again.status.state, again.status.start, again.status.saved) == ("ready", 1, 1)


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_the_arm_and_loses_nothing(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        desk.press("start")
        assert desk.status.state == "ready" and desk.status.problem and "No space left" in desk.status.message
    desk.press("start")
    desk.do(RIGHT, times=5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        desk.do(RIGHT, times=5)
        assert desk.status.steps == 5 and desk.status.waiting and "No space left" in desk.status.message
    desk.do(RIGHT)
    assert desk.status.steps == 6 and not desk.status.problem
    desk.press("save")
    with monkeypatch.context() as patch:
        patch.setattr("envs.teleop.take.write_episode", full)
        desk.press("save")
        assert desk.status.state == "review" and desk.status.problem and "NOT saved (No space left on device)" in desk.status.message
    with monkeypatch.context() as patch:
        patch.setattr("envs.demos.starts.append_row", full)
        desk.press("save")
        assert desk.status.state == "review" and desk.status.problem
    found = journal.read(tmp_path / JOURNAL)
    assert found is not None and len(found[1]) == 6
    desk.press("save")
    assert desk.status.state == "ready" and desk.status.failed == 1
    assert len(read_episode(episode_paths(tmp_path / "failed")[-1])) == 6


def test_buttons_that_do_not_apply_do_nothing(desk: Desk) -> None:
    desk.press("save", "discard", "gripper", "drive")
    assert (desk.status.state, desk.status.closed) == ("ready", False)
    desk.press("start", "start")
    assert desk.status.state == "recording"


def test_a_second_collector_is_told_so(tmp_path: Path) -> None:
    commands = tmp_path / "commands.jsonl"
    commands.write_text('{"move": [1, 0, 0]}\n')
    arguments = ["task=pick_at_xy", "source=file", f"commands={commands}", f"out={tmp_path / 'out'}"]
    settings = parse("envs.conf", "collect", Settings, arguments)
    with owned(tmp_path / "out"), pytest.raises(BadInput, match="another process is writing to this folder"):
        main(settings)
    journal.Journal(tmp_path / "out" / JOURNAL, {"seed": 0, "start": 0}, [{"action": [0] * 7}]).close()
    with pytest.raises(BadInput, match="holds an unfinished episode; give recover=true"):
        main(settings)


def test_still_is_still() -> None:
    assert Command().is_still and ABSENT.is_still and not RIGHT.is_still and not Command(action=np.zeros(7)).is_still
    assert Command(move=STILL, buttons=("gripper",)).is_still and module.AT_REST > 0
