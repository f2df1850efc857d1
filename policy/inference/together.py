"""Several agents of one policy, answered as one batch: `inference=plain` for many environments, as it is fast on a GPU.

An answer may differ from that of `Agent.act` in its last bits, as sums are taken in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from policy.agent import Agent
from policy.inference.plain import exactly
from policy.shapes import Prediction


def together(agents: Sequence[Agent]) -> list[Prediction]:
    """An answer, (1, k, a), to what each agent has read (`Agent.read`), for its `finish`. All are of one policy (`Agent.beside`)."""
    found: dict[int, Prediction] = {}
    for remembers in (False, True):  # who has no earlier moment yet has nothing to put beside those of the others
        chosen = [place for place, agent in enumerate(agents) if (agent.to_ask[1] is not None) is remembers]
        found |= zip(chosen, _batch([agents[place] for place in chosen]), strict=True) if chosen else {}
    return [found[place] for place in range(len(agents))]


def _batch(agents: Sequence[Agent]) -> list[Prediction]:
    policy, normalisation = agents[0].policy, agents[0].normalisation
    device, without = next(policy.parameters()).device, {agents[0].without} - {None}
    asked, pasts = zip(*(agent.to_ask for agent in agents), strict=True)
    frames, own, task, noise = zip(*asked, strict=True)

    def stacked(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(device)

    past = None if pasts[0] is None else torch.cat(pasts)
    with torch.inference_mode(), exactly(device), policy.without(*without), policy.remembering(past):  # type: ignore[arg-type]
        proprio = stacked([normalisation["proprio"].normalise(one) for one in own])
        answer = policy.predict(stacked(frames), proprio, stacked(task), noise=None if noise[0] is None else stacked(noise))
    actions = torch.from_numpy(normalisation["actions"].unnormalise(answer.actions.cpu().numpy()))
    return [Prediction(actions[i : i + 1], *(None if x is None else x[i : i + 1] for x in _beside(answer))) for i in range(len(agents))]


def _beside(answer: Prediction) -> tuple[Tensor | None, ...]:
    return answer.keypoints, answer.attention, answer.features
