"""Instructions become words: each language encoder by itself, and whose instruction a sample has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.demos.episodes import write_episode
from policy.agent import Agent
from policy.language.bag import WORDS, BagOfWords, bag_of_words
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.training.dataset import load_demos
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config, observation
from tests.policy.test_finetune import episode


def test_instructions_are_told_apart_and_stable() -> None:
    texts = ["pick the red cube", "put the red cube left of the green one", "stack the red cube on the green one", "drive to the red pad"]
    bags = torch.stack([bag_of_words(text) for text in texts])
    assert torch.allclose(bags.norm(dim=-1), torch.ones(4))
    assert (bags @ bags.T - torch.eye(4)).max() < 0.95
    assert torch.equal(bag_of_words("Pick the RED cube!"), bags[0])
    assert int(bag_of_words("red").abs().argmax()) == 15  # CRC-32, not Python's hash, which changes from process to process
    assert not bag_of_words("").any()


def test_the_words_of_a_bag_sum_to_the_whole() -> None:
    language = BagOfWords(config())
    words = language(bag_of_words("pick the red cube")[None])
    assert words.embeddings.shape == (1, WORDS, 16) and words.pooled.shape == (1, 16) and int(words.mask.sum()) == 4
    torch.testing.assert_close(words.embeddings[words.mask].sum(0) + language.map.bias, words.pooled[0])


def test_words_that_a_policy_never_met_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    normalisation = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}
    save_pretrained(build(config()), tmp_path, task="pick_at_xy", normalisation=normalisation, training={"instruction": "pick up the red cube"})
    agent, seen = Agent.from_pretrained(tmp_path, "cpu", inference="plain"), []
    for instruction in ("pick up the red cube", "pick up the yelow cube", "Pick up the YELOW cubes!", ""):
        agent.act(observation() | {"instruction": instruction})
        seen.append(capsys.readouterr().err)
    assert seen[0] == seen[3] == ""
    assert seen[1] == "note: instruction 'pick up the yelow cube': not in what this policy learnt from: 'yelow'\n"
    assert "'cubes' (did you mean cube?)" in seen[2] and "yelow'" not in seen[2].partition("learnt from")[2]


def test_each_sample_has_the_instruction_of_its_episode(tmp_path: Path) -> None:
    said = ("pick up the red cube", "pick up the blue ball", "pick up the red cube")
    for i, (steps, instruction) in enumerate(zip((6, 9, 7), said, strict=True)):
        write_episode(tmp_path / f"episode_{i}.hdf5", dataclasses.replace(episode(steps, i), instruction=instruction))
    demos = load_demos(tmp_path, 3, chunk=4)
    assert demos.instructions == said[:2]
    assert np.array_equal(demos.told, [0] * 6 + [1] * 9 + [0] * 7)
    assert demos.said != dataclasses.replace(demos, told=1 - demos.told).said
