"""What a policy is told instead of the instruction: nothing, or another thing of the same scene, which then counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import envs
from envs.language.heard import heard
from envs.language.things import Thing
from eval.playing.identity import identity
from eval.playing.prepare import prepare
from eval.playing.said import Said, another, told_of
from eval.run import Settings
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.policy.small import awake, config
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SCENE = (Thing("red", "cube"), Thing("red", "ball"), Thing("cyan", "cube"), Thing("cyan", "ball"))


def test_another_thing_takes_the_place_of_the_one_that_is_meant() -> None:
    assert another(SCENE, "pick_at_xy") == [1, 0, 2, 3]
    assert another(SCENE, "place_left_of") == [2, 1, 0, 3], "what it is put beside stays"
    assert another((SCENE[0], SCENE[2], SCENE[1], SCENE[3]), "stack_centered") == [1, 0, 2, 3], "balls cannot be stacked: the two change places"
    cylinder = (SCENE[0], Thing("red", "cylinder"), SCENE[2], Thing("cyan", "cylinder"))
    assert another(cylinder, "stack_centered") == [2, 1, 0, 3]


def test_the_sentence_names_the_other_thing() -> None:
    assert told_of("pick up the red cube", SCENE, [1, 0, 2, 3]) == "pick up the red ball"
    swapped = told_of("put the red cube left of the red ball", SCENE, [1, 0, 2, 3])
    assert swapped == "put the red ball left of the red cube"


@pytest.mark.parametrize("task", ["pick_at_xy", "place_left_of", "stack_centered", "navigate_to"])
def test_what_is_told_is_what_counts(task: str) -> None:
    env = envs.make(task, version=1, size=32)
    try:
        _, info = env.reset(seed=100_000, options={"episode": 3})
        before, lay = env.things, {key: value for key, value in info.items() if key.endswith("_pos_world") and "gripper" not in key}
        obs, told = Said(env, "other").reset(seed=100_000, options={"episode": 3})
        assert heard(obs["instruction"], task)[0] == env.things[0] != before[0]
        assert sorted(map(str, env.things)) == sorted(map(str, before))
        assert not np.allclose(told["privileged/target_pos_world"], lay["privileged/target_pos_world"])
        assert any(np.allclose(told["privileged/target_pos_world"], place, atol=1e-6) for place in lay.values()), "it lies where it lay"
        said = Said(env, "blank")
        obs, _ = said.reset(seed=100_000, options={"episode": 3})
        assert obs["instruction"] == "" and env.things == before
        obs, *_ = said.step_chunk(np.zeros((1, *(env.action_space.shape or ()))))
        assert obs["instruction"] == ""
    finally:
        env.close()


def test_rows_and_folders_name_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    chosen = config("cnn_avg", proprio_dim=10)
    identities = {"proprio": Affine.identity(10), "actions": Affine.identity(7)}
    place = save_pretrained(awake(build(chosen)), tmp_path / "p", task="pick_at_xy", normalisation=identities, training={"task_version": "0"})
    settings = parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={place}", "said=blank"])
    player = prepare(settings)
    assert player.row({"success": False})["said"] == "blank" and identity(settings, player)["said"] == "blank" and "said-blank" in player.out
    with pytest.raises(BadInput, match="said=other: in version 0 of pick_at_xy there is nothing else to be named"):
        prepare(parse("eval.conf", "run", Settings, ["task=pick_at_xy", f"checkpoint={place}", "said=other"]))
    with pytest.raises(BadInput, match="said=blank: policy=expert hears nothing"):
        parse("eval.conf", "run", Settings, ["task=pick_at_xy", "policy=expert", "said=blank"])
