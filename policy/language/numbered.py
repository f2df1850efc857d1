"""What `recurrent` and `transformer` have in common: a vector for each word of a vocabulary and one for all words that are not in it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from policy.config import PolicyConfig
from policy.language.vocabulary import FIRST, LONGEST, PADDING, UNKNOWN, words_of

FORGOTTEN = 0.05  # share of words that training hides, so that <unknown> is learnt too


class Numbered(nn.Module):
    """Instructions as numbers of words, (32,), and their vectors. Subclasses read these."""

    shape = (LONGEST,)

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.dim = config.task_dim
        self.numbers = {word: number for number, word in enumerate(config.vocabulary, FIRST)}
        self.how = (
            f"{LONGEST} whole numbers: for each word of the instruction in lower case (letters, digits and _ in a row) {FIRST} + its place in this list, "
            f"{UNKNOWN} if it is not there; then {PADDING}: {' '.join(config.vocabulary)}"
        )
        self.vectors = nn.Embedding(FIRST + len(config.vocabulary), self.dim)

    def code(self, instruction: str) -> Int[Tensor, " words"]:
        numbers = [self.numbers.get(word, UNKNOWN) for word in words_of(instruction)] or [UNKNOWN]  # an empty instruction is one that is not known
        return torch.tensor(numbers + [PADDING] * (LONGEST - len(numbers)))

    def labels(self, instruction: str) -> tuple[str, ...]:
        return tuple(words_of(instruction)) or ("",)

    def look_up(self, code: Int[Tensor, "b l"]) -> tuple[Float[Tensor, "b l e"], Bool[Tensor, "b l"]]:
        """A vector for each word, and which words there are."""
        mask = code != PADDING
        if self.training and self.vectors.weight.requires_grad:  # what is frozen reads as it will be used
            code = torch.where(mask & (torch.rand(code.shape, device=code.device) < FORGOTTEN), UNKNOWN, code)
        return self.vectors(code), mask


def mean(embeddings: Float[Tensor, "b l e"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b e"]:
    """Over the words that there are."""
    return (embeddings * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
