"""What the rollout and its subscribers ask of a policy, whatever it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.goals.desire import Desire


class RolloutPolicy:
    """A policy as the rollout sees it: numpy in, numpy out, one environment, no state that outlives `reset`. Every policy answers everything that is asked
    here; who has nothing to say says None."""

    def reset(self, seed: int, episode: int) -> None:
        """Forgets the last episode. What is random afterwards is a function of seed and episode."""

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        """Actions (k, a) in [-1, 1] to carry out before the next question. Learned policies ignore `info`."""
        raise NotImplementedError

    def attention(self) -> Any:
        """Where the last answer looked, for overlays."""

    def word_attention(self) -> Any:
        """Where words and patches attended in the last answer (policy.word_attention.WordAttention)."""

    def wanted(self) -> Desire | None:
        """What it wanted at the last query, as far as that can be drawn."""

    def fallen(self) -> Any:
        """What the last query fell back to, and why (policy.fallback.watch.Fallen)."""

    def shares(self) -> dict[str, float] | None:
        """How much of the last answer comes from each thing it was given."""

    def influence(self) -> dict[str, float] | None:
        """How much each stream moves the last answer."""

    def computed(self) -> dict[str, str]:
        """How its answers are computed, for rows; nothing where they are not computed by a network."""
        return {}
