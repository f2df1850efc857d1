"""`python -m eval.bench strategies`: what each encoder costs, beside `avg_late` (spec A16, A18): numbers that reach the head, memory and time.

A training step is that of `policy.finetune`: streams are frozen and their tokens cached, so those with streams begin at tokens, those from scratch at
channels. Its memory at the peak is what is kept for the backward pass and 16 bytes for each weight that learns. A query is a whole one, streams included.
All policies have random weights and take turns on one thread, so other work on the machine moves ratios less than times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from eval.benches.figure import Figure
from eval.benches.kept_bytes import WEIGHT, kept_bytes
from eval.benches.settings import Settings
from policy.encoders import ENCODERS

if TYPE_CHECKING:
    from policy.model import Policy

BASE = "avg_late"
BATCH = 16
UNITS = {"numbers that reach the head, a camera": "", "a training step: memory at its peak": "MiB", "a training step, a sample": "ms", "a query": "ms"}


def measure(settings: Settings) -> list[Figure]:
    """In a process of its own, so that one thread is all it ever had."""
    command = [sys.executable, "-m", "eval.benches.strategies", str(settings.size), str(settings.rounds)]
    told: dict[str, list[float]] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    figures = []
    for encoder, values in told.items():
        for (name, unit), value, base in zip(UNITS.items(), values, told[BASE], strict=True):
            figures.append(Figure(f"{encoder}: {name}", value, unit, note=f"{value / base:.2f} of {BASE}"))
            print(figures[-1], flush=True)
    return figures


def costs(size: int, rounds: int) -> dict[str, list[float]]:
    """For each encoder the values of `UNITS`, in their order; times are medians."""
    import numpy as np
    import torch

    from eval.benches.queries import seconds_of, untrained
    from policy.config import PolicyConfig

    torch.set_num_threads(1)
    torch.manual_seed(0)
    agents = {name: untrained(PolicyConfig(encoder=name, size=size)) for name in ENCODERS}
    queries = np.median(seconds_of(list(agents.values()), 4 * rounds), axis=0)
    lessons = {name: Lesson(agent.policy) for name, agent in agents.items()}
    memory = {name: lesson.bytes() for name, lesson in lessons.items()}
    steps = np.median([[lesson.seconds() for lesson in lessons.values()] for _ in range(rounds)], axis=0)
    return {
        name: [sizes(agent.policy), memory[name] / 2**20, 1000 * float(step) / BATCH, 1000 * float(query)]
        for (name, agent), step, query in zip(agents.items(), steps, queries, strict=True)
    }


def sizes(policy: Policy) -> int:
    """Numbers of a camera's tokens: 4D of `avg_late`, (N + 1) D of `pixelwise` (spec A12)."""
    return int(policy.encoder.num_tokens * policy.encoder.dim)


class Lesson:
    """A policy in training, and a batch for it."""

    def __init__(self, policy: Policy) -> None:
        import torch

        self.policy, config = policy.train(), policy.config
        frames = torch.randint(0, 256, (BATCH, len(config.cameras), 2, config.size, config.size, 3), dtype=torch.uint8)
        with torch.no_grad():
            self.seen: Any = policy.look(frames)
        self.told = policy.language.code("pick up the red cube").expand(BATCH, -1)
        self.proprio, self.actions = torch.rand(BATCH, config.own_dim), torch.rand(BATCH, config.chunk, config.action_dim)
        self.learning = [weights for weights in policy.parameters() if weights.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learning, lr=1e-4, fused=True)

    def step(self) -> None:
        """One change of the weights."""
        from policy.shapes import StreamTokens

        seen = self.policy.recall(self.seen) if isinstance(self.seen, StreamTokens) else self.seen
        features = self.policy.read(seen, self.proprio, self.told).features
        valid = self.actions[..., 0] >= 0
        self.optimizer.zero_grad(set_to_none=True)
        self.policy.head.loss(features, self.actions, valid).backward()
        self.optimizer.step()

    def bytes(self) -> int:
        """Of a step at its peak."""
        return kept_bytes(self.step) + WEIGHT * sum(weights.numel() for weights in self.learning)

    def seconds(self) -> float:
        """Of the processor's time."""
        begin = time.process_time()
        self.step()
        return time.process_time() - begin


if __name__ == "__main__":
    print(json.dumps(costs(int(sys.argv[1]), int(sys.argv[2]))))
