"""Does an exported file answer as the original does?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from policy.agent import Agent
from policy.config import PolicyConfig
from policy.training.dataset import Demos
from policy.transforms import Affine
from whatwhere.errors import BadInput

BOUND = 1e-4  # on each number of an action, whose range is 2; sums in another order differ by some 1e-6
BOUND_INT8 = 0.1  # the shipped policies differ by 0.01 to 0.07 on noise, and succeed as often (docs/lab.md)
INSTRUCTION = "pick up the red cube"  # with random observations

Observation = dict[str, Any]


def random_observations(config: PolicyConfig, proprio: Affine, n: int) -> Iterator[Observation]:
    """Noise from black to white before every camera, proprio around what was seen in training; the first as after a reset, the two pictures of a pair alike."""
    rng = np.random.default_rng(0)
    for i in range(n):
        frames = rng.integers(0, 256, (len(config.cameras), 2, config.size, config.size, 3), dtype=np.uint8)
        frames = frames if i else np.repeat(frames[:, :1], 2, axis=1)
        own = proprio.unnormalise(rng.standard_normal(config.own_dim))
        yield {"frames": frames, "proprio": own[: config.proprio_dim], "instruction": INSTRUCTION}


def recorded_observations(demos: Demos, config: PolicyConfig, n: int) -> Iterator[Observation]:
    """`n` moments of demonstrations, evenly spread. Raises BadInput for other cameras, sizes or numbers than the policy's."""
    found, valid = (demos.frames.shape[1:3], demos.proprio.shape[1]), ((len(config.cameras), config.size), config.proprio_dim)
    if found != valid or tuple(demos.attrs["cameras"]) != config.cameras:
        raise BadInput(
            f"demos: cameras {', '.join(demos.attrs['cameras'])} at {found[0][1]} px and {found[1]} numbers of proprio; "
            f"the policy needs {', '.join(config.cameras)} at {config.size} px and {config.proprio_dim} numbers"
        )
    for i in np.linspace(0, len(demos) - 1, n).astype(int):
        frames = np.stack([demos.frames[demos.previous[i]], demos.frames[i]], axis=1)
        yield {"frames": frames, "proprio": demos.proprio[i], "instruction": demos.instructions[demos.told[i]]}


def largest_difference(agent: Agent, run: Callable[..., list[np.ndarray]], observations: Iterable[Observation]) -> float:
    """Of any number of any action of a chunk."""
    worst = 0.0
    for observation in observations:
        if not agent.config.history:  # else each answer takes what the ones before it left
            agent.reset()
        inputs = agent.inputs(observation)
        actions = run(*(np.ascontiguousarray(value)[None] for value in inputs if value is not None))[0][0]
        agent.act(observation)
        difference = np.abs(actions - agent.chunk()).max()
        worst = max(worst, float(difference) if np.isfinite(difference) else float("inf"))
    return worst
