"""`language=bag_of_words`: which words an instruction has, not in which order. It needs no vocabulary, and a linear map is all that is learnt."""

from __future__ import annotations

import re
import zlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.config import PolicyConfig
from policy.shapes import Words

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


class BagOfWords(nn.Module):
    """A learned linear map of the bag. Its words are the slots that are not empty; their sum, with the map's bias, is the whole."""

    shape, how = (WORDS,), HOW

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.dim = config.task_dim
        self.map = nn.Linear(WORDS, self.dim)

    def code(self, instruction: str) -> Float[Tensor, " words"]:
        return bag_of_words(instruction)

    def labels(self, instruction: str) -> tuple[str, ...]:
        """The words that share a slot are one, and those that cancel each other none."""
        slots: dict[int, list[str]] = {}
        for word in re.findall(r"\w+", instruction.lower()):
            slots.setdefault(zlib.crc32(word.encode()) % WORDS, []).append(word)
        there = self.code(instruction).nonzero()[:, 0].tolist() or [0]  # as in `forward`
        return tuple("/".join(dict.fromkeys(slots.get(slot, ()))) for slot in there)

    def forward(self, bag: Float[Tensor, "b words"]) -> Words:
        slots = bag[..., None] * self.map.weight.T  # (b, words, e)
        mask = bag != 0
        mask = torch.cat([mask[:, :1] | ~mask.any(1, keepdim=True), mask[:, 1:]], 1)  # an empty instruction has one word, which says nothing
        return Words(slots, mask, self.map(bag))
