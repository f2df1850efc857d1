"""Instruction → numbers → task embedding (spec A9, B). Version 0 of each task has one instruction, so this is small on purpose:
a bag of words is enough to tell instructions apart, it needs no vocabulary file, and a sentence encoder can take its place."""

from __future__ import annotations

import re
import zlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

WORDS = 64  # slots of the bag
HOW = (  # bag_of_words, for those who do it elsewhere
    "64 slots, all 0; each word of the instruction in lower case (letters, digits and _ in a row) adds to slot CRC-32 mod 64, where CRC-32 is that of its "
    "UTF-8 bytes: 1 if that number is 2^31 or more, else -1; then all slots are divided by the root of the sum of their squares"
)


def bag_of_words(instruction: str) -> Float[Tensor, " words"]:
    """(64,) of unit length: each lower-case word adds ±1 to a slot, both taken from its CRC-32; zeros for an empty instruction."""
    bag = torch.zeros(WORDS)
    for word in re.findall(r"\w+", instruction.lower()):
        code = zlib.crc32(word.encode())
        bag[code % WORDS] += 1.0 if code >> 31 else -1.0
    return bag / bag.norm().clamp(min=1e-6)


class TaskEmbedding(nn.Module):
    """A learned linear map of the bag of words."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.map = nn.Linear(WORDS, dim)

    def forward(self, bag: Float[Tensor, "b words"]) -> Float[Tensor, "b e"]:
        return self.map(bag)
