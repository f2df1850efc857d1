"""What an evaluation may change: other light, another camera pose, other things on the table, and nothing else."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.tasks.table import APART_M, STRANGERS
from eval.playing.identity import identity
from eval.playing.prepare import prepare
from eval.run import Settings
from whatwhere.command import parse
from whatwhere.errors import BadInput


def starts(env: TaskEnv, episodes: tuple[int, ...] = (0, 1, 2)) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [env.reset(seed=100_000, options={"episode": episode}) for episode in episodes]


@pytest.fixture(scope="module")
def own() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    with contextlib.closing(envs.make("pick_at_xy", size=48)) as env:
        return starts(env)


@pytest.mark.parametrize("perturbation", ["light", "camera"])
def test_looks_change_and_starts_do_not(own: list[Any], perturbation: str) -> None:
    with contextlib.closing(envs.make("pick_at_xy", size=48, perturbation=perturbation)) as env:
        model = env._model  # type: ignore[attr-defined]
        seen, poses = [], []
        for episode in (0, 1, 2):
            seen += starts(env, (episode,))
            poses.append((model.cam("agentview").pos.copy(), model.cam("robot0_eye_in_hand").pos.copy(), model.light_diffuse.copy()))
        again = starts(env, (2, 0))
    for (obs, info), (own_obs, own_info) in zip(seen, own, strict=True):
        assert info["init_hash"] == own_info["init_hash"]
        assert np.array_equal(info["privileged/target_pos_world"], own_info["privileged/target_pos_world"])
        changed = np.abs(obs["frames"].astype(int) - own_obs["frames"]).mean(axis=(1, 2, 3, 4))
        assert changed[0] > 0.5, "the scene camera sees it"
        assert perturbation == "light" or changed[1] == 0, "the hand's camera stays where it is"
    assert np.array_equal(again[0][0]["frames"], seen[2][0]["frames"]), "an episode's looks are a function of seed and episode"
    assert np.array_equal(again[1][0]["frames"], seen[0][0]["frames"])
    moved = np.array([pose[0] for pose in poses])
    if perturbation == "camera":
        assert len(np.unique(moved[:, 0])) == 3
        assert np.ptp(moved, axis=0).max() <= 0.10
        assert all(np.array_equal(pose[1], poses[0][1]) for pose in poses)
    else:
        assert np.array_equal(moved[0], moved[1])
        assert not np.array_equal(poses[0][2], poses[1][2])


@pytest.mark.parametrize("task", ["pick_at_xy", "stack_centered", "place_left_of"])
def test_strangers_lie_beside_what_the_task_has(task: str) -> None:
    with contextlib.closing(envs.make(task, size=16)) as env:
        before = [info for _, info in starts(env)]
    with contextlib.closing(envs.make(task, size=16, perturbation="distractors")) as env:
        after = [info for _, info in starts(env)]
        success = [env.advance(np.zeros(7))[2]["success"] for _ in range(3)]
    names = [name for name in after[0] if name.startswith("privileged/") and name.endswith("_pos_world") and "gripper" not in name and "goal" not in name]
    assert {f"privileged/{cube.name}_pos_world" for cube in STRANGERS} <= set(names)
    for own, info in zip(before, after, strict=True):
        for name in own:
            if name.startswith("privileged/"):
                assert np.allclose(own[name], info[name], atol=1e-6), "own things lie where they would lie anyway"
        for a, b in itertools.combinations(names, 2):
            assert np.linalg.norm(info[a][:2] - info[b][:2]) > APART_M - 1e-3
        if "privileged/goal_pos_world" in info and task == "place_left_of":
            assert all(np.linalg.norm(info[f"privileged/{cube.name}_pos_world"] - info["privileged/goal_pos_world"]) > APART_M - 2e-3 for cube in STRANGERS)
    assert not any(success)


@pytest.mark.parametrize(
    ("task", "perturbation", "says"),
    [
        ("pick_at_xy", "lights", r"did you mean light\?"),
        ("navigate_to", "distractors", "valid for it: light, camera"),
        ("gymnasium/CartPole-v1", "light", "leave it out"),
    ],
)
def test_what_is_refused(task: str, perturbation: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        envs.make(task, perturbation=perturbation)


def test_an_evaluation_is_known_by_its_perturbation() -> None:
    plain, lit = (parse("eval.conf", "run", Settings, ["task=pick_at_xy", "policy=zero", *more]) for more in ([], ["perturbation=light"]))
    players = prepare(plain), prepare(lit)
    assert players[0].out != players[1].out
    assert "perturbation" not in identity(plain, players[0])
    assert identity(lit, players[1])["perturbation"] == "light"
    assert players[1].row({"task": "pick_at_xy"})["perturbation"] == "light"
    with pytest.raises(BadInput, match="perturbation=fog"):
        parse("eval.conf", "run", Settings, ["task=pick_at_xy", "perturbation=fog"])
