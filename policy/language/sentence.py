"""`language=sentence`: a pretrained sentence encoder, frozen; two linear maps of what it says are learnt.

It comes out of a package that brings its weights, or of a local folder in Hugging Face's format (`sentence_encoder=FOLDER`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.config import PolicyConfig
from policy.language.pretrained import pretrained
from policy.language.vocabulary import LONGEST
from policy.shapes import Words
from whatwhere.errors import BadInput


class Sentence(nn.Module):
    """Row 0 of a code is the whole sentence, of unit length; then come its word pieces, then rows of zeros."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.dim, self.encoder, self.sha256 = config.task_dim, config.sentence_encoder, config.sentence_sha256
        self.shape = (1 + LONGEST, config.sentence_dim)
        self.how = (
            f"{1 + LONGEST} rows of {config.sentence_dim} numbers, all 0, then what the encoder {config.sentence_encoder} says: from row 1 on its last layer's "
            "vectors of the instruction's word pieces, each divided by its length; in row 0 their mean, divided by its length"
        )
        self.word, self.whole = nn.Linear(config.sentence_dim, self.dim), nn.Linear(config.sentence_dim, self.dim)

    def code(self, instruction: str) -> Float[Tensor, "rows e"]:
        """Raises BadInput where the encoder is not installed, not there, or not the one that the policy was trained with."""
        encoder, rows = pretrained(self.encoder), torch.zeros(self.shape)
        if self.sha256 and encoder.sha256 != self.sha256:
            raise BadInput(f"sentence_encoder={self.encoder}: its weights are {encoder.sha256[:16]}, the policy was trained with {self.sha256[:16]}")
        pieces = encoder.pieces(instruction)[:LONGEST]  # (l, e)
        if len(pieces):
            rows[0] = nn.functional.normalize(pieces.mean(0), dim=0)
            rows[1 : 1 + len(pieces)] = nn.functional.normalize(pieces, dim=1)
        return rows

    def labels(self, instruction: str) -> tuple[str, ...]:
        """Word pieces, marks of beginning and end included. Raises BadInput as `code` does."""
        return pretrained(self.encoder).names(instruction)[:LONGEST] or ("",)

    def forward(self, code: Float[Tensor, "b rows e"]) -> Words:
        mask = code[:, 1:].abs().sum(-1) > 0
        mask = torch.cat([mask[:, :1] | ~mask.any(1, keepdim=True), mask[:, 1:]], 1)  # an empty instruction has one word, which says nothing
        return Words(self.word(code[:, 1:]), mask, self.whole(code[:, 0]))
