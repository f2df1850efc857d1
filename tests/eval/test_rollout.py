"""The loop, its subscribers and the policies behind it, on the fake environment."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from envs.video import VideoFile
from eval.observers import Observer
from eval.observers.freeze import FreezeObserver
from eval.observers.trajectory import TrajectoryObserver
from eval.playing.player import Player, StartCheck
from eval.playing.policies import Blind, Deaf, Expert, Learned
from eval.playing.rollout_policy import RolloutPolicy
from eval.playing.towards import Towards
from eval.results import ROW_KEYS
from eval.rollout import outcome, rollout
from tests.eval.eval_fakes import FakeEnv, Reach, Wander
from whatwhere.errors import BadInput


class Log(Observer):
    def __init__(self):
        self.calls = []

    def begin(self, env, policy, obs, info, row):
        self.calls.append("begin")

    def query(self, env, policy, obs, actions):
        self.calls.append("query")
        assert actions.ndim == 2

    def step(self, env, action, info):
        self.calls.append("step")

    def end(self, env, row):
        self.calls.append("end")
        return {"seen": row["steps"]}


class Constant(RolloutPolicy):
    def __init__(self, action):
        self.actions = np.tile(np.asarray(action, float), (4, 1))

    def act(self, obs, info):
        return self.actions


def facts(row):
    return {key: value for key, value in row.items() if key != "wall_s"}


def test_row_and_subscribers():
    log = Log()
    row = rollout(FakeEnv(), Reach(), 5, 0, [log])
    assert row["success"] is True
    assert row["failure"] is None
    assert row["position_error_cm"] < 5
    assert row["seen"] == row["steps"] == log.calls.count("step")
    assert (log.calls[0], log.calls[1], log.calls[2], log.calls[-1]) == ("begin", "query", "step", "end")
    json.dumps(row, allow_nan=False)


def test_episodes_stand_alone():
    env, policy = FakeEnv(), Blind(Wander)
    in_order = [facts(rollout(env, policy, 5, i)) for i in range(4)]
    backwards = [facts(rollout(env, policy, 5, i)) for i in reversed(range(4))]
    assert in_order == backwards[::-1]
    assert len({row["position_error_cm"] for row in in_order}) == 4
    assert facts(rollout(FakeEnv(), Blind(Wander), 5, 2)) == in_order[2]


def test_a_bad_action_ends_the_episode():
    row = rollout(FakeEnv(), Constant([np.nan, 0]), 5, 0)
    assert (row["success"], row["failure"], row["steps"]) == (False, "bad_action", 1)


def test_outcome_is_json():
    result = outcome({"success": np.bool_(False), "position_error_cm": np.float32("nan"), "failure": "physics_diverged", "is_relation_correct": np.bool_(True)})
    assert result == {"success": False, "failure": "physics_diverged", "position_error_cm": None, "is_relation_correct": True}


@pytest.mark.parametrize(("action", "freezes"), [([0, 0], 1), ([0.0005, 0], 1), ([0.5, 0], 0)])
def test_freezes(action, freezes):
    assert rollout(FakeEnv(), Constant(action), 5, 1, [FreezeObserver()])["freezes"] == freezes


def test_a_freeze_shorter_than_a_second_is_none():
    class Pause(Constant):
        def reset(self, seed, episode):
            self.calls = 0

        def act(self, obs, info):
            self.calls += 1
            return self.actions if self.calls % 5 == 0 else 0 * self.actions  # 16 of 20 steps still

    assert rollout(FakeEnv(), Pause([0.5, 0]), 5, 1, [FreezeObserver()])["freezes"] == 0


def test_training_starts_are_refused():
    start = rollout(FakeEnv(), Reach(), 5, 3)["init_hash"]
    check = StartCheck(frozenset([start]))
    rollout(FakeEnv(), Reach(), 5, 2, [check])
    with pytest.raises(BadInput, match="trained on"):
        rollout(FakeEnv(), Reach(), 5, 3, [check])


def test_rows_of_a_player(tmp_path):
    player = Player("fake", "random", 5, out=str(tmp_path), video=2, first=10)
    row = player.row(rollout(FakeEnv(), Reach(), 5, 10, [FreezeObserver()]))
    assert tuple(row)[: len(ROW_KEYS)] == ROW_KEYS
    assert (row["policy"], row["encoder"], row["video"]) == ("random", None, None)
    lost = player.lost(11, "worker_killed", {"init_hash": "ab", "version": "0"})
    assert tuple(lost)[: len(ROW_KEYS)] == ROW_KEYS
    assert (lost["failure"], lost["init_hash"], lost["position_error_cm"]) == ("worker_killed", "ab", None)
    assert not player.is_done(row), "its video is missing"
    assert player.is_done(lost)
    assert player.is_done(row | {"episode": 12}), "only the first two are recorded"
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "episode_10.mp4").touch()
    assert not player.is_done(row | {"video": "videos/episode_10.mp4"}), "its video does not open"
    with VideoFile(tmp_path / "videos" / "episode_10.mp4", 16, 16, 20, []) as video:
        video.write(np.zeros((2, 16, 16, 3), np.uint8))
    assert player.is_done(row | {"video": "videos/episode_10.mp4"})
    failures = Player("fake", "random", 5, out=str(tmp_path), video="failures")
    assert failures.is_done(row | {"success": True})
    assert not failures.is_done(row | {"success": False})


def test_a_trajectory_tells_every_step(tmp_path):
    row = rollout(FakeEnv(), Reach(), 3, 1, [TrajectoryObserver(tmp_path)])
    lines = list(csv.DictReader((tmp_path / row["trajectory"]).open()))
    assert row["trajectory"] == "trajectories/episode_1.csv"
    assert [int(line["step"]) for line in lines] == list(range(row["steps"] + 1))
    assert lines[0]["action_0"] == "nan"
    assert abs(float(lines[1]["action_1"])) <= 1
    start, end = (np.array([float(lines[i][f"position_{axis}"]) for axis in (0, 1)]) for i in (0, 1))
    moved = 0.05 * np.array([float(lines[1][f"action_{axis}"]) for axis in (0, 1)])
    np.testing.assert_allclose(end - start, moved, atol=1e-5)
    assert (lines[0]["success"], lines[-1]["success"]) == ("0", "1")
    assert float(lines[-1]["position_error_cm"]) == pytest.approx(row["position_error_cm"], abs=1e-5)


def test_rows_say_what_computed_the_answers_where_it_was_no_processor():
    class On(Learned):
        def __init__(self, device):
            self.agent, self.body = SimpleNamespace(device=device, inference="plain"), Reach()

        def reset(self, seed, episode):
            self.body.reset(seed, episode)

        def act(self, obs, info):
            return self.body.act(obs, info)

    play = {device: Player("fake", "learned", 5)._play(FakeEnv(), On(device)) for device in ("cpu", "cuda")}
    rows = {device: one(3, lambda *_: None) for device, one in play.items()}
    assert rows["cuda"].pop("device") == "cuda" and "device" not in rows["cpu"]
    assert {**rows["cuda"], "wall_s": 0} == {**rows["cpu"], "wall_s": 0}


@pytest.mark.parametrize("kind", [Learned, Towards, Expert, Deaf, Blind])
def test_every_policy_can_be_asked_what_subscribers_ask(kind):
    assert issubclass(kind, RolloutPolicy)
    if not issubclass(kind, Learned):  # those have nothing to say
        policy = object.__new__(kind)
        asked = policy.attention, policy.word_attention, policy.wanted, policy.fallen, policy.shares, policy.influence
        assert [ask() for ask in asked] == [None] * 6 and policy.computed() == {}
