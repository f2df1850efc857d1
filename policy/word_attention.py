"""Where the words of an instruction and the patches of each camera attend to each other, as arrays for pictures (spec B11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from policy.shapes import Attended


@dataclass(frozen=True)
class WordAttention:
    """`words` (l of them), and in each camera's grid of patches:

    of_words (c, l, rows, columns): what of a word's attention each patch gets. What is missing to 1 goes to other words or to tokens without a place.
    of_patches (c, l, rows, columns): what of a patch's attention each word gets. What is missing to 1 goes to other patches.
    """

    words: tuple[str, ...]
    of_words: NDArray[np.float32]
    of_patches: NDArray[np.float32]

    @property
    def seen(self) -> Float[np.ndarray, "c l"]:
        """How much of each word's attention goes to patches."""
        return self.of_words.sum((-2, -1))

    @property
    def heard(self) -> Float[np.ndarray, "c l"]:
        """How much of the patches' attention goes to each word, mean over patches."""
        return self.of_patches.mean((-2, -1))

    def to_even(self) -> Float[np.ndarray, "c l rows columns"]:
        """`of_words` as multiples of what each patch of a camera would get if all patches got the same; zero where a word looks at none."""
        return self.of_words / np.maximum(self.of_words.mean((-2, -1), keepdims=True), np.finfo(np.float32).tiny)


def on_grid(attended: Sequence[Sequence[Attended]], words: tuple[str, ...], grid: tuple[int, int], num_grids: int) -> WordAttention:
    """What a policy says of one instruction without padding (b = 1), on the encoder's grids of patches: the mean over the places in a join.

    Where a patch has several tokens (M's and P's), a word's attention to it is the sum of theirs, its own the mean.
    """
    shape, placed = (len(attended), len(words), num_grids, *grid), num_grids * grid[0] * grid[1]  # tokens with a place come last
    of_words = [_mean([one.of_words[0, :, -placed:] for one in each]) for each in attended]  # (l, grids · n)
    of_tokens = [_mean([one.of_tokens[0, -placed:].T for one in each]) for each in attended]
    return WordAttention(words, np.stack(of_words).reshape(shape).sum(2), np.stack(of_tokens).reshape(shape).mean(2))


def _mean(tensors: Sequence[Tensor]) -> NDArray[np.float32]:
    return np.mean([tensor.float().cpu().numpy() for tensor in tensors], axis=0)
