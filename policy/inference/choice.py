"""Which way a policy's answers are computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from policy.inference import EXPORTED, INFERENCES, check_inference
from policy.inference.bf16 import is_native
from policy.inference.plain import Plain
from policy.model import Policy
from policy.shapes import Prediction
from policy.transforms import Affine
from whatwhere.named import named

Ask = Callable[[Any, Any, Any, Any], Prediction]  # see Plain.__call__


def answering(inference: str | os.PathLike[str], policy: Policy, normalisation: Mapping[str, Affine]) -> tuple[str, Ask]:
    """The name of the way, as rows keep it, and the way itself. Raises BadInput for one that is not there or not for this policy."""
    name = check_inference(inference)
    if name.endswith(EXPORTED):
        from policy.inference.exported import Exported

        exported = Exported(policy, normalisation, name)
        return exported.name, exported
    if name == "auto":
        device = next(policy.parameters()).device
        name = "bf16" if policy.streams is not None and device.type == "cpu" and is_native(device) else "plain"
    way: type[Plain] = named("inference", name, INFERENCES)
    return name, way(policy, normalisation)
