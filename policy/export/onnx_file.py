"""`to=onnx`: a file for ONNX Runtime, and for whatever else reads ONNX; needs the extra `onnx`."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from policy.export import INPUTS, OUTPUTS

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class OnnxFile:
    """Runs the file on one thread: frames (1, c, 2, h, w, 3) uint8, proprio (1, s), task (1, words) → its outputs as numpy, actions (1, k, a) first.

    Where the head draws, noise (1, z) is a fourth input.
    """

    suffix: ClassVar[str] = ".onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")  # to write it and to check it
    runtime: ClassVar[str] = "onnxruntime"
    int8: ClassVar[bool] = True  # whether `write` can

    def __init__(self, path: str | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, *observation: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, dict(zip(INPUTS, observation, strict=False)))

    @staticmethod
    def write(program: ExportedProgram, path: Path, about: dict[str, Any], int8: bool) -> None:
        """Writes `path`, with `about` in its metadata as JSON. `int8`: linear layers multiply whole numbers of 8 bits."""
        import torch

        inputs, outputs = INPUTS[: len(program.graph_signature.user_inputs)], OUTPUTS[: len(program.graph_signature.user_outputs)]
        with _quiet():
            done = torch.onnx.export(program, dynamo=True, input_names=inputs, output_names=outputs, external_data=False, verbose=False)
        assert done is not None
        done.model.metadata_props["whatwhere"] = json.dumps(about, ensure_ascii=False)
        if not int8:
            path.write_bytes(done.model_proto.SerializeToString())
            return
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with _quiet():
            quantize_dynamic(done.model_proto, path, ["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its own steps, and of what its next version will do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
