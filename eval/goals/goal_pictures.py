"""Goals that somebody brings along: a folder with a picture for each camera, `agentview.png` and so on. Imports no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whatwhere.errors import BadInput

FILMED = ("picture", "video")  # goals that are filmed: the end of the expert's episode from the same start, or all of it


def check_pictures(folder: str) -> None:
    """Raises BadInput unless there are pictures in it."""
    if not Path(folder).is_dir() or not any(Path(folder).glob("*.png")):
        raise BadInput(f"goal={folder}: valid: {', '.join(FILMED)}, or a folder with a picture for each camera: agentview.png, …")


def digest_of(folder: str) -> str:
    """Of the pictures, for what rows depend on."""
    return sha256(b"".join(path.name.encode() + path.read_bytes() for path in sorted(Path(folder).glob("*.png")))).hexdigest()[:16]


def read_pictures(folder: str, cameras: Sequence[str], size: int) -> NDArray[np.uint8]:
    """(c, h, w, 3), of `size` pixels. Raises BadInput for one that is missing or no square picture."""
    from PIL import Image

    pictures = []
    for camera in cameras:
        path = Path(folder) / f"{camera}.png"
        try:
            with Image.open(path) as image:
                found = image.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise BadInput(f"goal={folder}: {path.name}: cannot be read ({type(error).__name__}); needs {', '.join(f'{c}.png' for c in cameras)}") from None
        if found.width != found.height:
            raise BadInput(f"goal={folder}: {path.name}: {found.width} × {found.height} pixels; needs a square, as the policy's cameras give")
        pictures.append(np.asarray(found if found.width == size else found.resize((size, size), Image.Resampling.BOX)))
    return np.stack(pictures)
