"""A policy leaves for a robot's computer: `python -m policy.export` writes it as one file that runs without this package, and checks that it answers alike."""

from __future__ import annotations

# "module:class" of each kind of file: `write(program, path, about, int8)`, and an instance runs the file
FORMATS: dict[str, str] = {
    "onnx": "policy.export.onnx_file:OnnxFile",
    "torch": "policy.export.torch_file:TorchFile",
}
INPUTS = ("frames", "proprio", "task", "noise")  # the last only where the head draws
OUTPUTS = ("actions", "keypoints", "attention")  # the last two only where the head looks at places
