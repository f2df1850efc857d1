"""`language=aligned`: what an instruction means, as play has taught it (`python -m policy.align`): which things it names, and what is to be done with them.

Two queries come of a sentence: for the thing that is meant, and for the one that it is put beside or upon. Each is the mean of the meanings of the words that
name it, times the learned temperature, so that a pair of colour and shape that was never shown is the sum of two that were. Which words these are is read off
the others, and all words that name are one and the same to whoever reads that: so neither it nor `pooled`, what to do, can depend on which thing is named.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from policy.aligning.contrast import Temperature
from policy.attention import Layer
from policy.config import PolicyConfig
from policy.language.numbered import Numbered
from policy.language.vocabulary import FIRST, LONGEST
from policy.shapes import Words

ROLES = 2  # what is meant; what it is put beside or upon
LAYERS = 2
NAMES = "what is meant", "what it is put by"  # of these in pictures
KINDS = 8  # of what is to be done, at most: sentences of one task mean one


class Aligned(Numbered):
    is_name: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__(config)
        named = torch.zeros(FIRST + len(config.vocabulary), dtype=torch.bool)
        named[[self.numbers[word] for word in config.names]] = True
        self.register_buffer("is_name", named, persistent=False)
        self.a_name = nn.Parameter(0.02 * torch.randn(self.dim))  # instead of the vector of a word that names
        self.positions = nn.Parameter(0.02 * torch.randn(LONGEST, self.dim))
        self.layers = nn.ModuleList(Layer(self.dim) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(self.dim)
        self.role = nn.Linear(self.dim, ROLES)
        self.nobody = nn.Parameter(torch.zeros(ROLES))  # the score of naming nothing
        self.meanings = nn.Embedding(FIRST + len(config.vocabulary), self.dim)
        self.kind = nn.Linear(self.dim, KINDS)
        self.kinds = nn.Embedding(KINDS, self.dim)
        self.temperature = Temperature()

    def labels(self, instruction: str) -> tuple[str, ...]:
        return NAMES

    def forward(self, code: Int[Tensor, "b l"]) -> Words:
        queries, _, kinds = self.read(code)
        queries = self.temperature() * queries
        mask = torch.ones(queries.shape[:2], dtype=torch.bool, device=code.device)
        return Words(queries, mask, kinds.softmax(-1) @ self.kinds.weight, queries)

    def read(self, code: Int[Tensor, "b l"]) -> tuple[Float[Tensor, "b roles e"], Float[Tensor, "b roles l1"], Float[Tensor, "b kinds"]]:
        """The queries, of length 1 where something is named and near 0 where nothing is; how much each word names (first: nothing does); scores of kinds."""
        vectors, mask = self.look_up(code)
        x = torch.where(self.is_name[code][..., None], self.a_name, vectors) + self.positions[: code.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        scores = self.role(x).masked_fill(~mask[..., None], -torch.inf).transpose(1, 2)  # (b, roles, l)
        shares = torch.cat([self.nobody.expand(len(code), -1)[..., None], scores], -1).softmax(-1)
        meant = F.normalize(shares[..., 1:] @ self.meanings(code), dim=-1)
        whole = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return (1 - shares[..., :1]) * meant, shares, self.kind(whole)
