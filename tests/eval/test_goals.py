"""Goal pictures: what an inverse model is given as the later frame, what may be asked of which policy, and what rows say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.playing.identity import default_out, identity
from eval.playing.prepare import prepare
from eval.playing.towards import Towards
from eval.run import Settings
from policy.agent import Agent
from policy.config import PolicyConfig
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SIZE, CAMERAS = 48, ("agentview", "robot0_eye_in_hand")
IDENTITY = {"proprio": Affine.identity(10), "actions": Affine.identity(7)}


def model(folder: Path, change: str, task: str = "stack_centered") -> Path:
    policy = build(PolicyConfig(encoder="cnn_avg", head="planned", change=change, proprio_dim=10, size=SIZE, ahead=4))
    training: dict[str, Any] = {"task_version": "0", "rendering": "fast", "train_seed": 3, "num_demos": 5}
    training |= {"demonstrations": 5} if change == "future" else {"actions_from": "5 of stack_centered"}
    return save_pretrained(policy, folder, task=task, normalisation=IDENTITY, training=training)


def settings(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, ["task=pick_at_xy", *words])


class Lane:
    """An environment whose pictures and state show how many steps were taken; the expert has it over after eleven."""

    task, cameras, size = "pick_at_xy", CAMERAS, SIZE

    def reset(self, seed: int, options: dict[str, int]) -> tuple[Any, dict[str, Any]]:
        self.steps, self.start = 0, (seed, options["episode"])
        return None, {}

    def advance(self, action: np.ndarray) -> tuple[bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.steps == 11, False, {}

    def moment(self) -> np.ndarray:
        return np.array([self.steps], float)

    def frames_of(self, moment: np.ndarray) -> np.ndarray:
        return np.full((2, SIZE, SIZE, 3), moment[0], np.uint8)

    def proprio(self) -> np.ndarray:
        return state_after(self.steps)


def state_after(steps: float) -> np.ndarray:
    return np.array([steps, *[0] * 9], np.float32)


class Idle:
    def reset(self) -> None: ...

    def act(self, info: dict[str, Any]) -> np.ndarray:
        return np.zeros(7)


@pytest.mark.parametrize(
    ("goal", "moved", "shown"),
    [
        ("picture", 2, [11] * 6),
        ("video", 2, [4, 6, 8, 10, 11, 11]),
        ("video", 1, [4, 5, 6, 7, 8, 9]),  # a robot of half the expert's speed: the film waits for it
        ("video", 0, [4, 4, 4, 4, 4, 4]),
    ],
)
def test_what_should_be_is_taken_from_the_experts_episode(goal: str, moved: int, shown: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.experts.expert_class", lambda task, expert: Idle)
    loaded = Agent.from_pretrained(model(tmp_path / "inverse", "future"), execute=2, towards=True)
    env = Lane()
    acting = Towards(loaded, env, goal)
    acting.reset(7, 3)
    assert (env.steps, env.start) == (0, (7, 3)), "the start is there again"
    now = np.full((2, 2, SIZE, SIZE, 3), 200, np.uint8)
    now[:, 0] = 100
    seen = []
    for query in range(6):
        obs = {"frames": now, "proprio": state_after(moved * query), "instruction": "pick up the red cube"}
        assert acting.act(obs, {}).shape == (2, 7)
        frames = loaded.inputs(obs)[0]
        assert (frames[:, 0] == 200).all()
        seen.append(int(frames[0, 1, 0, 0, 0]))
    assert seen == shown
    acting.reset(7, 4)
    acting.act({"frames": now, "proprio": state_after(0), "instruction": "pick up the red cube"}, {})
    assert loaded.goal is not None and loaded.goal[0, 0, 0, 0] == shown[0], "another episode is another film"


def test_a_goal_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "goal"
    folder.mkdir()
    with pytest.raises(BadInput, match=r"goal=.*: valid: picture, video, or a folder"):
        settings(f"goal={folder}")
    Image.new("RGB", (96, 96), (255, 0, 0)).save(folder / "agentview.png")
    loaded = Agent.from_pretrained(model(tmp_path / "inverse", "future"), towards=True)
    with pytest.raises(BadInput, match=r"robot0_eye_in_hand.png: cannot be read"):
        Towards(loaded, Lane(), str(folder))
    Image.new("RGB", (48, 30)).save(folder / "robot0_eye_in_hand.png")
    with pytest.raises(BadInput, match=r"48 × 30 pixels; needs a square"):
        Towards(loaded, Lane(), str(folder))
    Image.new("RGB", (48, 48), (0, 255, 0)).save(folder / "robot0_eye_in_hand.png")
    acting = Towards(loaded, Lane(), str(folder))
    acting.reset(0, 0)
    assert loaded.goal is not None and loaded.goal.shape == (2, SIZE, SIZE, 3) and loaded.goal[0, 0, 0].tolist() == [255, 0, 0]
    asked = settings(f"checkpoint={tmp_path / 'inverse'}", f"goal={folder}")
    before = identity(asked, prepare(asked))
    Image.new("RGB", (48, 48), (0, 250, 0)).save(folder / "robot0_eye_in_hand.png")
    assert identity(asked, prepare(asked))["goal"] != before["goal"], "other pictures are another evaluation"


def test_what_rows_say(tmp_path: Path) -> None:
    place = model(tmp_path / "inverse", "future")
    asked = settings(f"checkpoint={place}", "goal=video")
    player = prepare(asked)
    row = player.row({"task": "pick_at_xy", "version": "0", "seed": 0, "episode": 0, "init_hash": "0", "success": True, "position_error_cm": 1.0})
    assert (row["goal"], row["actions_from"]) == ("video", "5 of stack_centered")
    assert identity(asked, player)["goal"] == "video" and "goal-video" in default_out(asked, player)
    assert identity(asked, player)["film"] == "by progress", "rows of films that ran by the clock are others"
    policy = model(tmp_path / "policy", "past", "pick_at_xy")
    plain = prepare(settings(f"checkpoint={policy}"))
    assert plain.row({})["actions_from"] == "5 of stack_centered" and "goal" not in plain.row({})
    model(policy / "inverse", "future")
    assert prepare(settings(f"checkpoint={policy}", "goal=picture")).folder == str((policy / "inverse").absolute())


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        ("future", [], "an inverse model, which cannot act by itself; add goal=picture"),
        ("past", ["goal=picture"], "a policy that knows what it wants"),
        ("future", ["goal=picture", "policy=expert", "checkpoint=null"], "goal=picture: is not for policy=expert"),
        ("future", ["goal=picture", "latency=2"], "goal=picture: is not for latency=2"),
        ("future", ["goal=picture", "inference=a.onnx"], "goal=picture: is not for exported files"),
        ("future", ["goal=pictur"], "goal=pictur: valid: picture, video, or a folder"),
        ("future", ["goal=picture", "task=robosuite/Lift"], "expert: none here for task=robosuite/Lift"),
    ],
)
def test_what_cannot_be_is_one_line(change: str, words: list[str], message: str, tmp_path: Path) -> None:
    place = model(tmp_path / "model", change, "pick_at_xy")
    with pytest.raises(BadInput, match=message) as caught:
        prepare(settings(f"checkpoint={place}", *words))
    assert "\n" not in str(caught.value)
