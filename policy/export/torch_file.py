"""`to=torch`: a program of `torch.export`, which runs where torch is, without this package and timm."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class TorchFile:
    """Runs the file: frames (1, c, 2, h, w, 3) uint8, proprio (1, s), task (1, words) → its outputs as numpy, actions (1, k, a) first.

    Where the head draws, noise (1, z) is a fourth input.
    """

    suffix: ClassVar[str] = ".pt2"
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    runtime: ClassVar[str] = "torch"
    int8: ClassVar[bool] = False

    def __init__(self, path: str | Path) -> None:
        import torch

        self.module = torch.export.load(io.BytesIO(Path(path).read_bytes())).module()

    def __call__(self, *observation: np.ndarray) -> list[np.ndarray]:
        import torch

        with torch.no_grad():
            return [value.numpy() for value in self.module(*map(torch.from_numpy, observation))]

    @staticmethod
    def write(program: ExportedProgram, path: Path, about: dict[str, Any], int8: bool) -> None:
        """Writes `path`, with `about` inside it as JSON (`extra_files`)."""
        import torch

        assert not int8
        program.example_inputs = None  # type: ignore[assignment]  # these would be stored as a pickle; all else is plain bytes and JSON
        whole = io.BytesIO()
        torch.export.save(program, whole, extra_files={"whatwhere.json": json.dumps(about, ensure_ascii=False)})
        path.write_bytes(whole.getvalue())
