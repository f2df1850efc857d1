"""Arrays on disk, mapped into memory: a file is looked at before it is opened, and nothing in it is unpickled."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Literal

import numpy as np

from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.look import look


def mapped(path: str | Path, hint: str, mode: Literal["r", "c"] = "r") -> np.ndarray:
    """The array of a `.npy` file: read only, or `c`, copied where it is written to. Raises BadInput; `hint` says how such a file is made."""
    try:
        look(path, "array")
        return np.lib.format.open_memmap(path, mode)
    except BadInput as error:
        raise BadInput(f"{error}; {hint}") from None
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
        if is_of_this_machine(error):
            raise
        raise BadInput(f"{path}: not a readable array ({' '.join(str(error).split())[:120]}); {hint}") from None
