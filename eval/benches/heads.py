"""What each head adds to a query: processor time of `Agent.act` on one thread, as a ratio to that with `l1`; part of `python -m eval.bench policy`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from eval.benches.figure import Figure
from policy.heads import HEADS, UNNAMED

RATIO = 1.1


def heads() -> Iterator[Figure]:
    """Timed in a process of its own, so that one thread is all it ever had."""
    told = json.loads(subprocess.run([sys.executable, "-m", "eval.benches.heads"], check=True, capture_output=True, text=True).stdout)
    for name, ratio in told.items():
        yield Figure(f"query: head={name}", ratio, f"of {UNNAMED}", at_most=RATIO)


def ratios(queries: int = 40) -> dict[str, float]:
    """Medians over pairs of queries, the heads taking turns, over the default encoder with random weights, by the fastest way (`inference=auto`)."""
    import torch

    from policy.agent import Agent
    from policy.config import PolicyConfig
    from policy.model import build
    from policy.transforms import Affine

    torch.set_num_threads(1)
    agents = []
    for name in HEADS:
        config = PolicyConfig(head=name)
        normalisation = {"proprio": Affine.identity(config.proprio_dim), "actions": Affine.identity(config.action_dim)}
        agents.append(Agent(build(config), normalisation, inference="auto"))
    c, rng, seconds = agents[0].config, np.random.default_rng(0), np.empty((queries, len(agents)))
    for query in range(queries):
        frames = rng.integers(0, 256, (len(c.cameras), 2, c.size, c.size, 3), dtype=np.uint8)
        observation = {"frames": frames, "proprio": np.zeros(c.proprio_dim, np.float32), "instruction": "pick up the red cube"}
        for number, agent in enumerate(agents):
            begin = time.thread_time()
            agent.act(observation)
            seconds[query, number] = time.thread_time() - begin
    kept = seconds[queries // 4 :]
    base = kept[:, [list(HEADS).index(UNNAMED)]]
    return {name: float(ratio) for name, ratio in zip(HEADS, np.median(kept / base, axis=0), strict=True) if name != UNNAMED}


if __name__ == "__main__":
    print(json.dumps(ratios()))
