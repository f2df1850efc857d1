"""What a policy wants, drawn in its video: what is drawn, that nothing else changes, and what is refused before anything is played."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.demos.episodes import write_episode
from eval.goals.desire import Desire
from eval.observers import picture
from eval.observers.desire_inset import DesireInset
from eval.observers.video import VideoObserver
from eval.playing.identity import identity
from eval.playing.policies import Learned, learned
from eval.playing.prepare import prepare
from eval.playing.settings import Settings
from eval.playing.towards import Towards
from eval.rollout import rollout
from policy.channels import picture_tensor
from policy.finetune import main as finetune
from policy.pretrain import loop
from policy.pretrain.settings import Settings as Pretrain
from policy.probing.desired_change import codes
from policy.probing.wish import Wish
from policy.storage.checkpoint import load
from policy.training.dataset import load_demos
from tests.eval.eval_fakes import FakeEnv
from tests.policy.pretrain.small_play import moving_squares
from tests.policy.test_desired_pictures import TINY
from tests.policy.test_finetune import episode, write_demos
from tests.policy.test_finetune import settings as finetuning
from whatwhere.errors import BadInput
from whatwhere.settings import parse

PLANNED: dict[str, Any] = {"head": "planned", "ahead": 4}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`demos`; `unet`, of a decoder; `planned`, over its streams, with `planned/inverse`; `plain`, a policy without a planner; `other`, over other streams."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "demos").mkdir()
    write_demos(folder / "demos")
    loop.pretrain(parse("policy.conf", "pretrain", Pretrain, [*TINY, f"data={moving_squares(folder)}", f"out={folder / 'unet'}"]))
    (streams,) = (folder / "unet/streams").iterdir()
    usual = {"streams": streams, "steps": 2, "mirror": "false"}
    for name, words in (("planned", PLANNED), ("plain", {}), ("other", PLANNED | {"streams": "random"})):
        finetune(finetuning(folder / "demos", folder / name, **usual | words))
    return folder


def settings(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, ["task=pick_at_xy", "seed=100000", *words])


class Lane(FakeEnv):
    """With the observation of a small arm, and an expert's episode of twelve steps."""

    task = "pick_at_xy"

    def _obs(self) -> dict[str, Any]:
        return super()._obs() | {"proprio": self.proprio(), "instruction": "pick up the red cube"}

    def proprio(self) -> np.ndarray:
        return np.array([*self.position, *self.target, self.steps / 40], np.float32)

    def moment(self) -> np.ndarray:
        return np.array([self.steps], float)

    def frames_of(self, moment: np.ndarray) -> np.ndarray:
        return np.full((2, 32, 32, 3), 10 * moment[0], np.uint8)

    def advance(self, action: np.ndarray) -> tuple[bool, bool, dict[str, Any]]:
        self.step(action)
        return self.steps == 12, False, self._info()


class Idle:
    def reset(self) -> None: ...

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return np.zeros(7)


@pytest.fixture(autouse=True)
def expert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.experts.expert_class", lambda task, expert: Idle)


def planned(room: Path, wish: bool) -> Learned:
    policy = learned(str(room / "planned"), "cpu", inference="plain")
    policy.wish = Wish(policy.agent, str(room / "unet"), str(room / "demos"), room / "planned/inverse") if wish else None
    return policy


def towards(room: Path, goal: str, wish: bool, env: Any) -> Towards:
    policy = learned(str(room / "planned/inverse"), "cpu", inference="plain", towards=True)
    return Towards(policy.agent, env, goal, None, Wish(policy.agent, str(room / "unet")) if wish else None)


def test_of_a_planner_the_recorded_change_most_like_its_code_is_drawn(room: Path) -> None:
    policy, inverse = planned(room, True), load(room / "planned/inverse")
    demos = load_demos(room / "demos", 3, 8)
    row = 9
    obs = {"frames": demos.frames[[demos.previous[row], row]].swapaxes(0, 1), "proprio": demos.proprio[row], "instruction": "pick up the red cube"}
    assert policy.wanted() is None, "it was not asked yet"
    policy.act(obs, {})
    wish: Any = policy.wish
    code, state = wish._code()
    told, own = codes(load(room / "planned"), demos, np.array([row]))
    torch.testing.assert_close(code, told, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(state, own)
    recorded = codes(inverse, demos, np.arange(len(demos)), demos.ahead(4))
    like = int((torch.cdist(code, recorded[0]).square() / 64 + torch.cdist(state, recorded[1]).square() / 5).argmin())
    desire = policy.wanted()
    assert desire is not None and desire.ahead == 4
    ((title, shown),) = desire.pictures
    assert (title, shown.shape, shown.dtype) == ("wanted", (2, 32, 32, 3), np.uint8)
    for camera in range(2):
        now, before, after = (picture_tensor(demos.frames[[i], camera]) for i in (row, like, demos.ahead(4)[like]))
        drawn = wish.drawer.draw(now, before, after)[0].permute(1, 2, 0).numpy()
        assert np.abs(shown[camera] / 255 - drawn).max() < 0.01


@pytest.mark.parametrize("goal", ["picture", "video"])
def test_a_goal_is_shown_as_it_is_and_as_the_decoder_draws_the_change_to_it(goal: str, room: Path) -> None:
    env = Lane()
    obs, info = env.reset(seed=1, options={"episode": 0})
    told = []
    for wish in (False, True):
        policy = towards(room, goal, wish, env)
        policy.reset(1, 0)
        assert policy.wanted() is None
        policy.act(obs, info)
        told.append(policy.wanted())
    plain, drawn = told
    asked = 120 if goal == "picture" else 40  # after 12 steps and after 4
    assert plain is not None and drawn is not None
    assert [title for title, _ in plain.pictures] == ["goal"] and (plain.pictures[0][1] == asked).all()
    assert [title for title, _ in drawn.pictures] == ["goal", "drawn"] and (drawn.pictures[0][1] == asked).all()
    assert plain.ahead == drawn.ahead == (None if goal == "picture" else 4)
    now, then = (picture_tensor(frames) for frames in (obs["frames"][:, 1], plain.pictures[0][1]))
    expected = policy.wish.drawer.draw(now, now, then).permute(0, 2, 3, 1).numpy()
    assert np.abs(drawn.pictures[1][1] / 255 - expected).max() < 0.01


@pytest.mark.parametrize("kind", ["planned", "picture", "video"])
def test_rows_are_the_same_with_and_without_it(kind: str, room: Path, tmp_path: Path) -> None:
    rows, frames = [], []
    for name, wish, films in (("none", False, False), ("plain", False, True), ("drawn", True, True)):
        env = Lane()
        policy = planned(room, wish) if kind == "planned" else towards(room, kind, wish, env)
        observer = Kept(tmp_path / name, "x")
        rows.append(rollout(env, policy, 5, 2, [observer] if films else []) | {"wall_s": 0, "video": 0})
        frames += [observer.last] if films else []
    assert rows[0] == rows[1] == rows[2]
    changed = (frames[0] != frames[1]).any(axis=-1)
    assert changed.any() and not changed[:, picture.SCENE[0] :].any(), "drawn over the scene"


class Kept(VideoObserver):
    def take(self, frame: np.ndarray) -> None:
        super().take(frame)
        self.last = frame


def pictures(value: int) -> np.ndarray:
    return np.full((2, 16, 16, 3), value, np.uint8)


def test_what_was_wanted_for_now_stands_beside_what_came() -> None:
    inset = DesireInset()
    for step in range(0, 12, 2):
        inset.add(step, Desire((("wanted", pictures(step)), ("drawn", pictures(100 + step))), 6), pictures(200 + step))
        shown = inset.rows()
        assert [title for title, _ in shown] == ["wanted in 6 steps", "drawn", "wanted for now", "what came"]
        values = [None if value is None else int(value[0, 0, 0, 0]) for _, value in shown]
        assert values == ([step, 100 + step, None, None] if step < 6 else [step, 100 + step, step - 6, 200 + step])
    once = DesireInset()
    once.add(0, Desire((("goal", pictures(3)),), None), pictures(4))
    assert [title for title, _ in once.rows()] == ["goal at the end"]


@pytest.mark.parametrize("cameras", [1, 2, 5])
def test_it_leaves_the_rest_of_the_picture_alone(cameras: int) -> None:
    inset, scene = DesireInset(), np.full((480, 640, 3), 90, np.uint8)
    white = np.full((cameras, 32, 32, 3), 255, np.uint8)
    inset.add(0, Desire((("goal", white), ("drawn", white)), 8), white)
    side = picture.panel(np.zeros((2, 2, 32, 32, 3), np.uint8), ("a", "b"))
    draw = lambda given: picture.compose(scene, side, "t", {}, [3.0], 1, 40, 20, "reach it", ("running", None), given)  # noqa: E731
    rows, columns = np.nonzero((draw(None) != draw(inset.draw)).any(axis=-1))
    assert rows.min() > 82 and rows.max() < 440 and columns.max() < 220, "at the left edge, between the plates"
    assert (draw(DesireInset().draw) == draw(None)).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["checkpoint={room}/plain", "demos={room}/demos"], "plain does not say what should change; it is for policies of head=planned, and for goals"),
        (["checkpoint={room}/planned"], "add demos=, what .*planned learnt from"),
        (["checkpoint={room}/planned", "demos={room}/none"], "none"),
        (["checkpoint={room}/planned", "demos={room}/large"], "episode_0.hdf5: size=48, but the policy needs 32"),
        (["checkpoint={room}/planned", "demos={room}/demos", "inverse={room}/plain"], "plain: is a policy, not an inverse model"),
        (["checkpoint={room}/planned", "demos={room}/demos", "decoder={room}/demos"], "decoder=.*demos: no decoder there; needs the OUT of"),
        (["checkpoint={room}/planned", "demos={room}/demos", "decoder={room}/unet/decoder"], "the streams that it was taught over are not in"),
        (["checkpoint={room}/other", "demos={room}/demos"], "draws changes that the streams [0-9a-f]{16} see, but the policy looks through [0-9a-f]{16}"),
        (["checkpoint={room}/planned", "goal=picture", "demos={room}/demos"], "demos=.*: is for what a planner wants; what a goal shows is drawn as it is"),
        (["checkpoint={room}/planned", "video=0"], "decoder=.*: draws what a learned policy wants, in videos; needs policy=learned and video=1 or more"),
        (["policy=expert"], "decoder=.*: draws what a learned policy wants, in videos"),
        (["checkpoint={room}/planned", "decoder=null", "demos={room}/demos"], "demos=.*: is for drawing what a planner wants, in videos; add decoder="),
    ],
)
def test_what_cannot_be_drawn_is_one_line(words: list[str], message: str, room: Path) -> None:
    if not (room / "large").exists():
        (room / "large").mkdir()
        large = episode(6, 70, size=48)
        large.frames = np.zeros((6, 2, 48, 48, 3), np.uint8)
        write_episode(room / "large/episode_0.hdf5", large)
    with pytest.raises(BadInput, match=message) as caught:
        prepare(settings(f"decoder={room / 'unet'}", *(word.format(room=room) for word in words)))
    assert "\n" not in str(caught.value)


def test_another_planners_inverse_model_is_refused(room: Path, tmp_path: Path) -> None:
    (streams,) = (room / "unet/streams").iterdir()
    usual = {"streams": streams, "head": "planned", "mirror": "false"}
    over = finetune(finetuning(room / "demos", tmp_path / "over", steps=2, inverse=room / "planned/inverse", **usual))
    words = [f"checkpoint={over}", f"decoder={room / 'unet'}", f"demos={room / 'demos'}"]
    with pytest.raises(BadInput, match="which is not beside it; add inverse=FOLDER"):
        prepare(settings(*words))
    assert prepare(settings(*words, f"inverse={room / 'planned/inverse'}")).inverse == str(room / "planned/inverse")
    another = finetune(finetuning(room / "demos", tmp_path / "another", steps=3, change="future", ahead=4, **usual))
    with pytest.raises(BadInput, match=r"but this policy was trained over [0-9a-f]{16}, whose codes it gives"):
        prepare(settings(*words, f"inverse={another}"))


def test_rows_do_not_depend_on_it_and_what_is_wrong_is_found_without_torch(room: Path) -> None:
    plain = settings(f"checkpoint={room / 'planned'}")
    words = [f"checkpoint={room / 'planned'}", f"decoder={room / 'unet'}", f"demos={room / 'demos'}"]
    drawn = settings(*words)
    assert identity(plain, prepare(plain)) == identity(drawn, prepare(drawn)) and prepare(plain).out == prepare(drawn).out
    command = [sys.executable, "-X", "importtime", "-m", "eval.run", "task=pick_at_xy", "seed=100000", *words[:2]]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 2 and "Traceback" not in told.stderr and "add demos=" in told.stderr
    assert not any(line.split("|")[-1].strip() in ("torch", "mujoco") for line in told.stderr.splitlines() if "|" in line)
