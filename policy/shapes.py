"""The axis letters of this package, and the frozen records that flow through it.

| letter | axis                            | letter | axis                     |
|--------|---------------------------------|--------|--------------------------|
| b      | batch                           | d      | channels of a token      |
| c      | cameras                         | k      | steps of an action chunk |
| h, w   | pixel rows and columns          | a      | numbers of an action     |
| n      | patches (N) of one stream       | s      | numbers of proprio       |
| t      | tokens that reach the head      | e      | numbers of a word        |
| g      | tokens without a place          | q      | keypoints (queries)      |
| f      | features that a head decodes    | z      | noise of an answer       |
| l      | words of an instruction         |        |                          |

A `*b` means any number of leading axes, usually (b), (b c) or the two flattened to (b·c).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Channels:
    """What the eye sends: M, what changed (ΔL, ΔR, ΔG, ΔB), and P, what is where (∂x, ∂y, R, G, B)."""

    m: Float[Tensor, "*b 4 h w"]
    p: Float[Tensor, "*b 5 h w"]


@dataclass(frozen=True)
class StreamTokens:
    """What the two streams say about one picture pair: a CLS token and N patch tokens each (spec A10)."""

    m_cls: Float[Tensor, "*b d"]
    m_patches: Float[Tensor, "*b n d"]
    p_cls: Float[Tensor, "*b d"]
    p_patches: Float[Tensor, "*b n d"]

    def map(self, change: Callable[[Tensor], Tensor]) -> StreamTokens:
        """The same record with `change` applied to each tensor (to a device, to float32, flattened, …)."""
        return StreamTokens(change(self.m_cls), change(self.m_patches), change(self.p_cls), change(self.p_patches))


@dataclass(frozen=True)
class Tokens:
    """What reaches the head. The last n of the t tokens lie at `positions`; the first t − n (CLS, averages) have no place.

    `positions` are x (to the right) and y (downwards) of the token's centre in [-1, 1]; the picture's edges are at ±1. They may differ from
    sample to sample (`moved`).
    """

    values: Float[Tensor, "*b t d"]
    positions: Float[Tensor, "*#b n 2"]

    def moved(self, by: Float[Tensor, "b 2"]) -> Tokens:
        """The same tokens, each sample's `by` (x, y) further on: where they were before the picture was shifted."""
        return Tokens(self.values, self.positions + by[:, None])

    @property
    def pooled(self) -> Tensor:
        """(*b, t − n, d): the tokens without a place."""
        return self.values[..., : self.values.shape[-2] - self.positions.shape[-2], :]

    @property
    def placed(self) -> Tensor:
        """(*b, n, d): the tokens with a place, in the order of `positions`."""
        return self.values[..., self.values.shape[-2] - self.positions.shape[-2] :, :]


@dataclass(frozen=True)
class Words:
    """What an instruction says: word by word, which of the l words there are (the others are padding), and as a whole.

    `queries`: of a language that knows what is named (language=aligned), what to look for: the thing that is meant, and what it is put beside or upon.
    """

    embeddings: Float[Tensor, "b l e"]
    mask: Bool[Tensor, "b l"]
    pooled: Float[Tensor, "b e"]
    queries: Float[Tensor, "b 2 e"] | None = None

    def alone(self) -> Words:
        """Of a single instruction (b = 1): without padding, which costs time and says nothing."""
        return Words(self.embeddings[:, self.mask[0]], self.mask[:, self.mask[0]], self.pooled, self.queries)


@dataclass(frozen=True)
class Attended:
    """How much the words of an instruction and one camera's tokens attend to each other, at one place in a join (spec B11); means over heads.

    A row sums to the share of the attention that goes to the other side: 1 where there is nothing else to attend to, less where both are one sequence.
    Padding gets nothing, and its own rows are zero.
    """

    of_words: Float[Tensor, "b l t"]
    of_tokens: Float[Tensor, "b t l"]


@dataclass(frozen=True)
class Reading:
    """What the reader found in the tokens of all cameras, and where. `keypoints` are x, y in [-1, 1]; both are None if no token has a place."""

    features: Float[Tensor, "b f"]
    keypoints: Float[Tensor, "b c q 2"] | None = None
    attention: Float[Tensor, "b c q n"] | None = None


@dataclass(frozen=True)
class Prediction:
    """A chunk of actions, and where the reader looked, as in `Reading`; `features`: what it then saw, for policies that remember."""

    actions: Float[Tensor, "b k a"]
    keypoints: Float[Tensor, "b c q 2"] | None = None
    attention: Float[Tensor, "b c q n"] | None = None
    features: Float[Tensor, "b f"] | None = None


def cell_centres(grid: tuple[int, int]) -> Float[Tensor, "n 2"]:
    """Centres of the cells of a (rows, columns) grid over the picture, row by row, as x, y in [-1, 1]."""
    rows, columns = grid
    y = (torch.arange(rows, dtype=torch.float32) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns, dtype=torch.float32) + 0.5) / columns * 2 - 1
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=-1)
