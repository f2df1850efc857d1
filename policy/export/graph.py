"""A policy as a graph of operations: raw pictures, proprio and task in, actions in the world's numbers out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from policy.model import Policy
from policy.transforms import Affine


class Graph(nn.Module):
    """What leaves: normalisation is inside, actions are clipped to [-1, 1], and a batch is one observation."""

    proprio_shift: Tensor
    proprio_scale: Tensor
    actions_shift: Tensor
    actions_scale: Tensor

    def __init__(self, policy: Policy, normalisation: Mapping[str, Affine]) -> None:
        super().__init__()
        self.policy = policy.eval().requires_grad_(False)
        for name in ("proprio", "actions"):
            self.register_buffer(f"{name}_shift", torch.from_numpy(normalisation[name].shift))
            self.register_buffer(f"{name}_scale", torch.from_numpy(normalisation[name].scale))

    def forward(
        self, frames: UInt8[Tensor, "1 c 2 h w 3"], proprio: Float[Tensor, "1 s"], task: Shaped[Tensor, "1 ..."], noise: Float[Tensor, "1 z"] | None = None
    ) -> tuple[Tensor, ...]:
        answer = self.policy.predict(frames, (proprio - self.proprio_shift) / self.proprio_scale, task, noise=noise)
        actions = (answer.actions * self.actions_scale + self.actions_shift).clamp(-1.0, 1.0)
        # in the order of policy.export.OUTPUTS
        return (actions,) if answer.keypoints is None or answer.attention is None else (actions, answer.keypoints, answer.attention)


def traced(policy: Policy, normalisation: Mapping[str, Affine]) -> torch.export.ExportedProgram:
    """The graph with its weights, on the CPU, for a batch of one. Noise is an input of it where the head draws."""
    c = policy.config
    frames = torch.zeros(1, len(c.cameras), 2, c.size, c.size, 3, dtype=torch.uint8)
    noise = (torch.zeros(1, policy.head.noise),) if policy.head.noise else ()
    with torch.no_grad():
        task = policy.language.code("")[None]
        for stream in policy.unseen if policy.streams is not None else ():
            policy.cpu().of_nothing(stream)  # known before: it is a constant of the graph
        return torch.export.export(Graph(policy.cpu(), normalisation).eval(), (frames, torch.zeros(1, c.own_dim), task, *noise))


def output_shapes(program: torch.export.ExportedProgram) -> list[list[int]]:
    """Of each output, in the order of policy.export.OUTPUTS."""
    nodes = {node.name: node for node in program.graph.nodes}
    return [[int(size) for size in nodes[name].meta["val"].shape] for name in program.graph_signature.user_outputs]
