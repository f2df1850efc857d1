"""`language=recurrent`: word vectors through a GRU, trained with the policy (spec B10). Each word knows those before it."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor, nn

from policy.config import PolicyConfig
from policy.language.numbered import Numbered, mean
from policy.shapes import Words


class Recurrent(Numbered):
    """A word is its own vector plus what the GRU says of it in its place; the whole is the words' mean."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        self.step = nn.GRUCell(self.dim, self.dim)  # a loop of cells and not nn.GRU, since only this can be exported
        self.norm = nn.LayerNorm(self.dim)

    def forward(self, code: Int[Tensor, "b l"]) -> Words:
        vectors, mask = self.look_up(code)
        state, states = torch.zeros_like(vectors[:, 0]), []
        for one in vectors.unbind(1):  # padding comes last, so no word hears of it
            state = self.step(one, state)
            states.append(state)
        embeddings = self.norm(vectors + torch.stack(states, 1))
        return Words(embeddings, mask, mean(embeddings, mask))
