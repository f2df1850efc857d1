"""What a query of a policy costs: processor time of `Agent.act`, several agents taking turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from policy.agent import Agent
    from policy.config import PolicyConfig

INSTRUCTION = "pick up the red cube"
WARM_UP = 4  # the first of so many parts does not count


def seconds_of(agents: Sequence[Agent], queries: int, still: bool = False) -> NDArray[np.float64]:
    """(queries, agents): seconds of the processor's time, on one thread, over random pictures; what else the machine does is no part of them.

    `still`: the two pictures of a pair are the same: nothing moved.
    """
    import torch

    torch.set_num_threads(1)
    config, rng, seconds = agents[0].config, np.random.default_rng(0), np.empty((queries, len(agents)))
    for query in range(queries):
        frames = rng.integers(0, 256, (len(config.cameras), 2, config.size, config.size, 3), dtype=np.uint8)
        frames = frames[:, 1:].repeat(2, axis=1) if still else frames
        observation = {"frames": frames, "proprio": np.zeros(config.proprio_dim, np.float32), "instruction": INSTRUCTION}
        for column, agent in enumerate(agents):
            begin = time.thread_time()
            agent.act(observation)
            seconds[query, column] = time.thread_time() - begin
    return seconds[queries // WARM_UP :]


def untrained(config: PolicyConfig, inference: str = "plain") -> Agent:
    """An agent with random weights."""
    from policy.agent import Agent
    from policy.model import build
    from policy.transforms import Affine

    normalisation = {"proprio": Affine.identity(config.proprio_dim), "actions": Affine.identity(config.action_dim)}
    return Agent(build(config), normalisation, inference=inference)
