"""`head=planned`: what should change, and from that the actions that make it change (spec A8, phase 4; docs/planner.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from policy.heads.binary import Binary
from policy.heads.decoder import Decoder, count, mlp

CODE = 64  # numbers of a change
ACTING = 100_000  # parameters of the part that acts, at most: the same in an inverse model and in every policy over it
NOISE = 0.1  # deviation of what is added to a code when acting is learnt, a code's own numbers having 1: a planner is never quite right
PLAN = 0.2  # weight of a code's squared error beside that of the actions that come of it
HIDDEN = 0.2  # share of proprio's numbers that are hidden when acting is learnt


class Planned(Decoder):
    """Two parts: `say`, features → the code of a change, and `act`, (code, proprio) → actions (`binary`'s own network).

    In an inverse model (`change=future`) the features are of frames (t, t+k), and the code is that of the change that happened. In a policy
    (`change=past`) they are of what is there now, and the code is that of the change that should happen: this is the planner. Both have the same `act`.

    `own`: how many numbers of proprio stand behind the `dim` features that the reader found.
    """

    sees_own: ClassVar[bool] = True

    def __init__(self, dim: int, chunk: int, action_dim: int, parameters: int, binary: Sequence[tuple[int, float, float]] = (), own: int = 0) -> None:
        super().__init__(dim, chunk, action_dim)
        self.act = Binary(CODE + own, chunk, action_dim, min(ACTING, parameters // 4), binary)
        self.say = mlp(dim, CODE, parameters - count(self.act))
        torch.nn.init.xavier_uniform_(self.say[-1].weight)  # type: ignore[arg-type]

    def code(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b z"]:
        """Of the change that happened, or should: (b, CODE), of mean 0 and deviation 1."""
        return F.layer_norm(self.say(features[:, : self.dim]).float(), (CODE,))

    def forward(self, features: Float[Tensor, "b f"], noise: Float[Tensor, "b z"] | None = None) -> Float[Tensor, "b k a"]:
        return self.made(self.code(features), features)

    def made(self, code: Float[Tensor, "b z"], features: Float[Tensor, "b f"]) -> Float[Tensor, "b k a"]:
        """The actions that make a change; of `features` only proprio counts."""
        return self.act(torch.cat([code, features[:, self.dim :]], dim=-1))

    def loss(
        self,
        features: Float[Tensor, "b f"],
        actions: Float[Tensor, "b k a"],
        mask: Bool[Tensor, "b k"],
        desired: Float[Tensor, "b z"] | None = None,
        made: Float[Tensor, "b k a"] | None = None,
        recorded: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, ""]:
        """Without `desired`: how wrong the actions are that come of the code. With it, the codes of what then happened: of planning, too.

        recorded: of which samples an action was recorded; `made` are those that were carried out, from which `act` goes on learning. The `actions` of the
        others are what an inverse model tells.
        """
        code, own = self.code(features), features[:, self.dim :]
        if desired is None:
            return self._acting(code, own, actions, mask)
        loss = self.act.loss(torch.cat([code, own], dim=-1), actions, mask) + PLAN * (code - desired).square().mean()
        return loss if made is None or recorded is None else loss + self._acting(desired, own, made, mask & recorded[:, None])

    def _acting(self, code: Tensor, own: Tensor, actions: Tensor, mask: Tensor) -> Float[Tensor, ""]:
        near = code + NOISE * torch.randn_like(code)
        return self.act.loss(torch.cat([near, own * (torch.rand_like(own) >= HIDDEN)], dim=-1), actions, mask)
