"""What a policy at work wants, as pictures upon what it sees now (docs/planner.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from envs.demos.episodes import episode_paths
from policy.agent import Agent
from policy.channels import picture_tensor
from policy.probing.desired_change import codes
from policy.probing.desired_pictures import Drawer, nearest
from policy.storage.checkpoint import load
from policy.training.dataset import Demos, load_demos

MOST = 512  # recorded moments whose changes can be drawn: their codes take seconds, for each process that plays


class Wish:
    """Draws what an agent wanted when it was asked last. An inverse model wants what its goal shows, of which the decoder draws the change.

    A planner's code has no place in a picture: the recorded change is drawn that is most like it, as in `policy.desired`. `demos`: the folder it learnt from;
    `inverse`: that of the inverse model under it. Raises BadInput.
    """

    def __init__(self, agent: Agent, decoder: str, demos: str | None = None, inverse: Path | None = None) -> None:
        self.agent, self.device = agent, next(agent.policy.parameters()).device
        self.drawer = Drawer(decoder, agent.config.size, self.device)
        self.recorded = None if demos is None or inverse is None else self._recorded(demos, inverse)

    def _recorded(self, folder: str, inverse: Path) -> tuple[Demos, np.ndarray, tuple[Tensor, Tensor]]:
        """The demonstrations, the rows of the moments that are looked through, and their codes and states."""
        assert self.agent.checkpoint is not None
        learnt = (self.agent.checkpoint.config.get("training") or {}).get("num_demos") or MOST
        demos = load_demos(folder, min(learnt, len(episode_paths(folder))), self.agent.config.chunk, failed=True)
        rows = np.unique(np.linspace(0, len(demos) - 1, min(MOST, len(demos))).round().astype(int))
        return demos, rows, codes(load(inverse, self.device), demos, rows, demos.ahead(self.agent.config.ahead))

    @torch.no_grad()
    def pictures(self) -> UInt8[np.ndarray, "c h w 3"] | None:
        """None where the agent was not asked."""
        if self.agent.asked is None:
            return None
        frames: Any = self.agent.asked[0]  # (c, 2, h, w, 3)
        if self.recorded is None:
            now, goal = (picture_tensor(frames[:, i], self.device) for i in (0, 1))
            return _shown(self.drawer.draw(now, now, goal))
        demos, rows, known = self.recorded
        like = rows[nearest(*self._code(), *known)]
        cameras = [picture_tensor(frames[camera, 1:], self.device) for camera in range(len(frames))]  # (1, 3, h, w) each
        return _shown(torch.cat([self.drawer.draw_recorded(now, demos, like, self.agent.config.ahead, camera) for camera, now in enumerate(cameras)]))

    def _code(self) -> tuple[Float[Tensor, "1 z"], Float[Tensor, "1 s"]]:
        """Of the change that it wanted, and its state as the network sees it."""
        assert self.agent.asked is not None
        frames, own, told, _ = self.agent.asked
        policy = self.agent.policy
        state = torch.from_numpy(self.agent.normalisation["proprio"].normalise(own))[None].to(self.device)
        seen = policy.look(torch.from_numpy(np.ascontiguousarray(frames))[None].to(self.device))
        features = policy.read(seen, state, torch.from_numpy(told)[None].to(self.device)).features
        return policy.head.code(features), state  # type: ignore[operator]


def _shown(pictures: Float[Tensor, "c 3 h w"]) -> UInt8[np.ndarray, "c h w 3"]:
    return (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
