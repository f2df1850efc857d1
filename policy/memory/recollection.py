"""What one agent remembers of one episode: the features of its last moments, `frame_gap` control steps apart."""

from __future__ import annotations

from collections import deque

import torch
from jaxtyping import Float
from torch import Tensor

from policy.memory import check_memory


class Recollection:
    """Raises BadInput for a pace that does not fit (`check_memory`)."""

    def __init__(self, memory: int, frame_gap: int, execute: int) -> None:
        check_memory(memory, frame_gap, execute)
        self.memory, self.every = memory, max(1, frame_gap // execute)  # queries from moment to moment
        self._kept: deque[Tensor] = deque(maxlen=max(0, memory - 1) * self.every)

    def restart(self) -> None:
        self._kept.clear()

    def past(self) -> Float[Tensor, "1 n f"] | None:
        """The features of the moments before the present one, oldest first; before the episode its first ones stand in. None: they are the present ones."""
        if not self._kept:
            return None
        last = len(self._kept)
        return torch.stack([self._kept[max(last - back * self.every, 0)] for back in range(self.memory - 1, 0, -1)], dim=1)

    def add(self, features: Float[Tensor, "1 f"] | None) -> None:
        """Those of a query that is over; None where the policy was not asked: what it knew stays."""
        if self.memory and (features is not None or self._kept):
            self._kept.append(self._kept[-1] if features is None else features)
