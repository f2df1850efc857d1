"""Evaluations in which something fails: rows say it, videos show it, results count it, and no action is wild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval import run
from eval.fallbacks import fallbacks
from eval.observers import Observer, picture
from eval.observers.fallback import FallbackObserver
from eval.observers.video import VideoObserver
from eval.playing import policies
from eval.playing.faults import FAULTS, OF_CAMERAS, STRANGE, Faulty, parsed, told
from eval.results import load
from eval.rollout import rollout
from policy.fallback.watch import Fallen
from tests.eval.eval_fakes import FakeEnv, Reach
from tests.eval.test_without import prepared, saved, settings
from whatwhere.command import parse
from whatwhere.errors import BadInput


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("checkpoints") / "plain")


class Long(FakeEnv):
    frame_gap = 4

    def _info(self) -> dict[str, Any]:
        return super()._info() | {"success": False}


class Bounds(Observer):
    """Every action given, and which of them there were."""

    def begin(self, *arguments: Any) -> None:
        self.actions: list[np.ndarray] = []

    def query(self, env: Any, policy: Any, obs: dict[str, Any], actions: np.ndarray) -> None:
        self.actions += list(actions)


@pytest.mark.parametrize("kind", FAULTS)
def test_what_fails_fails_from_its_step_on(kind: str) -> None:
    env, camera = Long(), "wrist" if kind in OF_CAMERAS else None
    assert parsed(told(kind, 6, camera)) == (kind, 6, camera)
    faulty = Faulty(env, kind, 6, camera)
    obs, _ = faulty.reset(seed=1, options={"episode": 0})
    held = None
    for step in range(0, 16, 2):
        if kind in ("no_words", "strange_words"):
            assert obs["instruction"] == ("reach the red square" if step < 6 else "" if kind == "no_words" else STRANGE)
        elif kind == "missing":
            assert isinstance(obs["frames"], np.ndarray) if step < 6 else list(obs["frames"]) == ["top"]
        elif step < 6:
            assert np.array_equal(obs["frames"], env._obs()["frames"])
        else:
            now, earlier = obs["frames"][1, 1], obs["frames"][1, 0]
            held = now if held is None else held
            gone = {"black": not now.any(), "nan": bool(np.isnan(now).all()), "frozen": np.array_equal(now, held)}[kind]
            assert gone and np.array_equal(now, earlier, equal_nan=True) == (step - 4 >= 6), "the earlier frame of the pair is from before, at first"
            assert np.array_equal(obs["frames"][0], env._obs()["frames"][0]), "the other camera is whole"
        obs, *_ = faulty.step_chunk(np.full((2, 2), 0.3))


class Told(Reach):
    """Falls back from its third query on."""

    def reset(self, seed: int, episode: int) -> None:
        self.asked = 0

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        self.asked += 1
        return super().act(obs, info) * (0 if self.fallen() else 0.3)

    def fallen(self) -> Fallen | None:
        return Fallen(4, "top is black", "hold") if self.asked > 2 else None


def test_rows_say_it_and_videos_show_it(tmp_path: Path) -> None:
    drawn: list[Any] = []
    observer = VideoObserver(tmp_path, "told")
    compose = observer._compose
    observer._compose = lambda outcome: drawn.append(compose(outcome)) or drawn[-1]  # type: ignore[method-assign]
    row = rollout(Faulty(Long(), "nan", 4, "top"), Told(), 5, 0, [observer, FallbackObserver()])
    assert (row["fallback_step"], row["fallback_why"], row["fallback_did"], row["fallback_end"]) == (4, "top is black", "hold", True)
    plate = [(frame[56:84, :500] == picture.RED).all(axis=-1).any() for frame in drawn]
    assert not any(plate[:5]) and all(plate[5:])
    whole = rollout(Long(), Reach(), 5, 0, [])
    assert not [key for key in whole if key.startswith("fallback")]


def test_they_are_counted() -> None:
    fell = {"fallback_why": "x", "fallback_did": "hold", "fallback_end": True}
    rows = [{"success": True} | fell, {"success": False} | fell, {"success": False} | fell | {"fallback_end": False}, {"success": True}]
    assert fallbacks(rows) == {"episodes": 3, "success": 1, "hold": 1, "other": 1} and fallbacks(rows[3:]) == {}


def test_settings_rows_and_folders_tell_them_apart(checkpoint: Path) -> None:
    plain, before = prepared(checkpoint)
    assert not {"fault", "fallback"} & {*before, *plain.row({})}
    player, identity = prepared(checkpoint, "fault=black", "fallback=hold")
    assert identity["fault"] == player.row({})["fault"] == "black agentview from 10" and identity["fallback"] == player.row({})["fallback"] == "hold"
    assert player.out != plain.out and "black-agentview-from-10" in player.out
    player, _ = prepared(checkpoint, "fault=no_words", "fault_from=0")
    assert player.fault == "no_words from 0" and player.fallback is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fallback=stop"], "fallback=stop: unknown; valid: none, hold, other_camera"),
        (["fault=blak"], "fault=blak: unknown"),
        (["fault=nan"], "fault=nan: a policy without a fallback refuses"),
        (["fault_camera=agentview"], "fault_camera=agentview: no camera is made to fail"),
        (["fault=no_words", "fault_camera=agentview"], "no camera is made to fail"),
        (["policy=expert", "fault=black"], "fault=black: policy=expert looks at no pictures"),
        (["policy=zero", "fallback=hold"], "fallback=hold: policy=zero looks at no pictures"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings("task=pick_at_xy", *words)


def test_what_the_checkpoint_cannot_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="fallback=other_camera: .* train with camera_dropout"):  # noqa: RUF043
        prepared(checkpoint, "fallback=other_camera")
    with pytest.raises(BadInput, match="fault_camera=left: unknown; valid: agentview, robot0_eye_in_hand"):
        prepared(checkpoint, "fault=black", "fault_camera=left")
    assert prepared(saved(tmp_path / "dropped", camera_dropout=0.2), "fallback=other_camera")[0].fallback == "other_camera"


@pytest.mark.slow
def test_a_camera_that_is_black_from_step_ten_ends_in_hold_or_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`eval.run task=pick_at_xy fault=black fallback=hold`, with few episodes."""
    words = ["task=pick_at_xy", "fault=black", "fallback=hold", "episodes=3", "seed=100000", "num_envs=1", "video=1", "trajectories=true", f"out={tmp_path}"]
    run.main(parse("eval.conf", "run", run.Settings, words))
    rows, results = load(tmp_path)
    assert results["fallbacks"] == {"episodes": 3, "success": 0, "hold": 3, "other": 0}
    assert "in 3 episodes: 0 successes, 3 ended holding still" in capsys.readouterr().out
    for row in rows:
        assert row["fallback_step"] == 10 and row["fallback_why"] == "agentview is black" and row["fallback_end"] and row["failure"] is None
        table = np.genfromtxt(tmp_path / row["trajectory"], delimiter=",", names=True)
        actions = np.stack([table[f"action_{number}"] for number in range(7)], axis=1)[1:]
        assert (np.abs(actions) <= 1).all() and not actions[10:, :6].any() and len(set(actions[9:, 6])) == 1


@pytest.mark.slow
def test_no_alarm_in_ordinary_episodes(tmp_path: Path) -> None:
    words = ["task=pick_at_xy", "episodes=3", "seed=100000", "num_envs=1", "video=0"]
    run.main(parse("eval.conf", "run", run.Settings, [*words, f"out={tmp_path / 'a'}"]))
    run.main(parse("eval.conf", "run", run.Settings, [*words, f"out={tmp_path / 'b'}", "fallback=hold"]))
    plain, watched = ([{**row, "wall_s": 0, "fallback": 0} for row in load(tmp_path / name)[0]] for name in "ab")
    assert plain == watched


def test_policies_say_what_happened(checkpoint: Path) -> None:
    acting = policies.learned(str(checkpoint), "cpu", fallback="hold")
    assert acting.fallen() is None
