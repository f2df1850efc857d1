"""`inference=FILE.onnx`: the file that goes to the robot, run by ONNX Runtime on one thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from policy.export.onnx_file import OnnxFile
from policy.export.record import verified
from policy.model import Policy
from policy.shapes import Prediction
from policy.transforms import Affine
from whatwhere.errors import BadInput


class Exported:
    """Answers as `Plain` does, but that actions are clipped to [-1, 1] already. Raises BadInput for a file that is damaged or of another policy's shape."""

    def __init__(self, policy: Policy, normalisation: Mapping[str, Affine], path: str) -> None:
        record = verified(path)
        if importlib.util.find_spec(OnnxFile.runtime) is None:
            raise BadInput(f"inference={path}: needs onnxruntime, not installed here; run: pip install 'whatwhere[onnx]'")
        self.name = f"onnx {record['file']['sha256'][:16]}"
        self.run = OnnxFile(path)

    def __call__(self, frames: NDArray[np.uint8], proprio: NDArray[np.float32], task: NDArray, noise: NDArray[np.float32] | None = None) -> Prediction:
        outputs = self.run(*(np.ascontiguousarray(value)[None] for value in (frames, proprio, task, noise) if value is not None))
        return Prediction(*map(torch.from_numpy, outputs))
