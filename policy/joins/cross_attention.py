"""`join=cross_attention`: the picture's tokens look at the words and the words at the tokens, both with residual and LayerNorm (spec B2)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from policy.attention import Attention, Feed
from policy.joins.join import Join, Sizes
from policy.shapes import Attended, Tokens, Words


class CrossAttention(Join):
    """Tokens look at words that have looked at the tokens. What the tokens heard is added to them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.both = BothWays(sizes)
        self.leave = nn.Linear(sizes.width, sizes.dim)

    def forward(self, tokens: Tokens, words: Words) -> Tokens:
        seen, _ = self.both(tokens, words)
        return Tokens(tokens.values + self.leave(seen), tokens.positions)

    def attended(self, tokens: Tokens, words: Words, looked: Float[Tensor, "b q n"] | None) -> list[Attended]:
        return [self.both.attended(tokens, words)]


class BothWays(nn.Module):
    """Tokens and words in the joint width, each after a look at the other."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.see, self.hear = (nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width)) for dim in (sizes.dim, sizes.words_dim))
        self.place = nn.Linear(2, width)
        self.words_look, self.tokens_look = Attention(width), Attention(width)
        self.norm_words, self.norm_tokens = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed_words, self.feed_tokens = Feed(width), Feed(width)

    def forward(self, tokens: Tokens, words: Words) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b l w"]]:
        seen, heard = self._entered(tokens, words)
        heard = self._told(seen, heard)
        seen = self.feed_tokens(self.norm_tokens(seen + self.tokens_look(seen, heard, words.mask)))
        return seen, heard

    def attended(self, tokens: Tokens, words: Words) -> Attended:
        seen, heard = self._entered(tokens, words)
        of_words = self.words_look.weights(heard, seen) * words.mask[..., None]
        return Attended(of_words, self.tokens_look.weights(seen, self._told(seen, heard), words.mask))

    def _entered(self, tokens: Tokens, words: Words) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b l w"]]:
        return in_places(self.see(tokens.values), self.place(tokens.positions)), self.hear(words.embeddings)

    def _told(self, seen: Float[Tensor, "b t w"], heard: Float[Tensor, "b l w"]) -> Float[Tensor, "b l w"]:
        """The words after their look at the tokens."""
        return self.feed_words(self.norm_words(heard + self.words_look(heard, seen)))


def in_places(seen: Float[Tensor, "b t w"], places: Float[Tensor, "*b n w"]) -> Float[Tensor, "b t w"]:
    """What the places say added to the tokens that have one, which are the last n."""
    return seen + nn.functional.pad(places, (0, 0, seen.shape[1] - places.shape[-2], 0))
