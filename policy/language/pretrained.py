"""Sentence encoders trained elsewhere: out of a package that brings its weights, or a local folder in Hugging Face's format. Nothing is downloaded."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from policy.language.located import WEIGHTS, located
from whatwhere.errors import BadInput
from whatwhere.files import sha256

MOST_KEPT = 10_000  # sentences


class Pretrained:
    """One, frozen, on the CPU, in fp32. Raises BadInput for a folder that does not hold one."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer  # takes a second or two
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval().requires_grad_(False).float()
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise BadInput(f"sentence_encoder={folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None
        self.dim, self.sha256 = int(self.model.config.hidden_size), sha256(folder / WEIGHTS)
        self._said: dict[str, Tensor] = {}

    @torch.no_grad()
    def pieces(self, sentence: str) -> Float[Tensor, "l e"]:
        """The last layer's vectors of the sentence's word pieces, its marks of beginning and end included; computed once a sentence."""
        if sentence not in self._said:
            if len(self._said) >= MOST_KEPT:
                self._said.clear()
            self._said[sentence] = self.model(**self.tokenizer(sentence, truncation=True, return_tensors="pt")).last_hidden_state[0]
        return self._said[sentence]

    def names(self, sentence: str) -> tuple[str, ...]:
        """What those pieces are."""
        return tuple(self.tokenizer.convert_ids_to_tokens(self.tokenizer(sentence, truncation=True)["input_ids"]))


@functools.lru_cache(maxsize=4)
def pretrained(encoder: str) -> Pretrained:
    """One of each in a process, with what it has said. Raises BadInput."""
    return Pretrained(located(encoder))
