from __future__ import annotations

import torch

from policy.language import WORDS, TaskEmbedding, bag_of_words


def test_instructions_are_told_apart_and_stable() -> None:
    texts = ["pick the red cube", "put the red cube left of the green one", "stack the red cube on the green one", "drive to the red pad"]
    bags = torch.stack([bag_of_words(text) for text in texts])
    assert torch.allclose(bags.norm(dim=-1), torch.ones(4))
    assert (bags @ bags.T - torch.eye(4)).max() < 0.95
    assert torch.equal(bag_of_words("Pick the RED cube!"), bags[0])
    assert int(bag_of_words("red").abs().argmax()) == 15  # CRC-32, not Python's hash, which changes from process to process
    assert not bag_of_words("").any()


def test_embedding() -> None:
    assert TaskEmbedding(16)(torch.zeros(2, WORDS)).shape == (2, 16)
