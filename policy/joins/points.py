"""`join=points`: words that point. The instruction makes the queries with which the reader reads coordinates out of the fused patches."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.attention import Attention
from policy.joins.join import Join, Sizes
from policy.shapes import Attended, Tokens, Words


class Points(Join):
    """Each keypoint looks at the words and at the whole instruction, and looks for what they say on the grid.

    A keypoint's score at a place is what it always looks for (the reader's own) plus the product of its query and that place, both after a LayerNorm.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.keypoints = nn.Parameter(torch.randn(sizes.keypoints, sizes.width))
        self.listen = Attention(sizes.width, sizes.words_dim)
        self.whole = nn.Linear(sizes.words_dim, sizes.width)
        self.heard = nn.LayerNorm(sizes.width)
        self.ask = nn.Sequential(nn.LayerNorm(sizes.width), nn.Linear(sizes.width, sizes.width), nn.GELU(), nn.Linear(sizes.width, sizes.width))
        self.norm = nn.LayerNorm(sizes.width)

    def on_grid(self, x: Float[Tensor, "b n width"], words: Words) -> Float[Tensor, "b n width"]:
        return self.norm(x)

    def queries(self, words: Words) -> Float[Tensor, "b q width"]:
        each = self.keypoints.expand(len(words.pooled), -1, -1)
        heard = self.listen(each, words.embeddings, words.mask) + self.whole(words.pooled)[:, None]
        return self.ask(each + self.heard(heard))

    def attended(self, tokens: Tokens, words: Words, looked: Float[Tensor, "b q n"] | None) -> list[Attended]:
        """By way of the keypoints: a word attends to the patches at which the keypoints look that listen to it, and a patch to the words to which those
        keypoints listen that look at it, in proportion. Tokens without a place attend to nothing."""
        if looked is None:
            return []
        each = self.keypoints.expand(len(words.pooled), -1, -1)
        listened = self.listen.weights(each, words.embeddings, words.mask)  # (b, q, l)
        both = listened.transpose(1, 2) @ looked  # (b, l, n)
        least = torch.finfo(both.dtype).tiny
        of_words = both / both.sum(-1, keepdim=True).clamp(min=least)
        of_tokens = (both / both.sum(1, keepdim=True).clamp(min=least)).transpose(1, 2)
        pooled = tokens.values.shape[1] - looked.shape[-1]
        return [Attended(nn.functional.pad(of_words, (pooled, 0)), nn.functional.pad(of_tokens, (0, 0, pooled, 0)))]
