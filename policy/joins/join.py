"""Where words can meet a picture. A `Join` as it stands here leaves all as it is: the words only stand beside what was read (`join=beside`)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from policy.shapes import Attended, Tokens, Words


@dataclass(frozen=True)
class Sizes:
    """What a join is built for: the tokens of one camera (as in policy.encoders), the words, and the reader's grid."""

    dim: int
    grid: tuple[int, int]
    num_pooled: int
    num_grids: int
    words_dim: int
    width: int  # of a token on the reader's grid
    keypoints: int


@dataclass(frozen=True)
class Pointed:
    """What a join found itself: `extra` numbers, and where it looked, as in policy.shapes.Reading of one camera."""

    features: Float[Tensor, "b f"]
    keypoints: Float[Tensor, "b q 2"]
    attention: Float[Tensor, "b q n"]


class Join(nn.Module):
    """Joins are subclasses; each takes words in at one or more of these places, in the order in which the picture passes them.

    `dim`, `num_pooled`, `num_grids`: of the tokens that it gives. `extra`: how many numbers it adds to what was read.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.dim, self.num_pooled, self.num_grids, self.extra = sizes.dim, sizes.num_pooled, sizes.num_grids, 0

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        """One camera's tokens, before they are read."""
        return tokens

    def on_grid(self, x: Float[Tensor, "b n width"], words: Words) -> Float[Tensor, "b n width"]:
        """Tokens with a place, as the reader sees them before it chooses places."""
        return x

    def queries(self, words: Words) -> Float[Tensor, "b q width"] | None:
        """What to look for, added to what the reader always looks for; None: nothing."""
        return None

    def point(self, tokens: Tokens, words: Words) -> Pointed | None:
        """What it finds by itself, instead of a reader that has no grid to look at; None: nothing."""
        return None

    def beside(self, found: Float[Tensor, "b f"], words: Words) -> Float[Tensor, "b g"]:
        """What was read of the camera, `extra` numbers longer."""
        return found

    def attended(self, tokens: Tokens, words: Words, looked: Float[Tensor, "b q n"] | None) -> list[Attended]:
        """Where words and tokens attend, for each place in the join at which they do, in their order; none but for joins of policy.joins.ATTENDING.

        `looked`: where the reader then looked, if anywhere. It is computed anew from what `forward` was given, which computes none of it.
        """
        return []
