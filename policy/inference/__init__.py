"""Ways to compute what a policy answers. `plain` is the reference; tests bound how far the others are from it.

Values are "module:class"; a class is built from (policy, normalisation) and called with one observation in the world's numbers, see `policy.inference.plain`.
Besides these an agent takes a file that `python -m policy.export to=onnx` wrote.
"""

from __future__ import annotations

INFERENCES: dict[str, str] = {
    "plain": "policy.inference.plain:Plain",
    "bf16": "policy.inference.bf16:Bf16",
}
EXPORTED = ".onnx"  # the end of an exported file's name


def check_inference(inference: object, field: str = "inference") -> str:
    """`inference` itself: auto, a name in INFERENCES or an exported file. Imports no torch. Raises BadInput."""
    from whatwhere.errors import choose

    name = str(inference)
    return name if name.endswith(EXPORTED) else choose(field, name, ("auto", *INFERENCES, f"FILE{EXPORTED}"))
