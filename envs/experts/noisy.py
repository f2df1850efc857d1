"""What scripted experts share: noise and slips in what is executed, so that demonstrations show how to come back."""

from __future__ import annotations

from typing import Any

import numpy as np

SLIP_STEPS = (4, 10)  # how long a slip lasts, from … to


class NoisyExpert:
    """`act` gives the corrective action, `perturb` what is to be executed: the same, with noise on the first `noisy` numbers.

    An expert should be a function of the present privileged state alone, so that a policy that sees the state can imitate it.
    noise: standard deviation in units of the action at full speed, 0.3 being a good dose for demonstrations.
    slips: chance, at each step, that a slip begins: for some steps the robot is pushed some way off, and half the time the gripper does the opposite of
    what it was told. Noise alone stays beside the expert's path; a policy also meets a closed hand without a cube in it, or a hand low and far away.
    """

    noisy = 6  # numbers of the action that get noise; a gripper's does not
    slip_reach: float | np.ndarray = 1.0  # of the greatest slip, in units of the action
    memory = 0.7  # correlation of the noise from one step to the next: it pushes away instead of shaking

    def __init__(self, noise: float = 0.0, rng: np.random.Generator | None = None, slips: float = 0.0) -> None:
        if noise < 0:
            raise ValueError(f"noise={noise}: must be at least 0")
        if not 0 <= slips <= 1:
            raise ValueError(f"slips={slips}: must lie in 0…1")
        self.noise, self.slips = noise, slips
        self.rng = rng or np.random.default_rng(0)
        self._fresh = np.sqrt(1 - self.memory**2)
        self.reset()

    def reset(self) -> None:
        """Forgets the noise and the slips of the episode before."""
        self._push = np.zeros(self.noisy)
        self._slipping, self._slip, self._turned = 0, np.zeros(self.noisy), 1.0

    def act(self, info: dict[str, Any]) -> np.ndarray:
        """(a,) in [-1, 1] from `info["privileged/…"]`."""
        raise NotImplementedError

    def strength(self, action: np.ndarray) -> np.ndarray | float:
        """How strong the noise is beside `action`, in all or for each number."""
        return self.noise

    def perturb(self, action: np.ndarray) -> np.ndarray:
        """The action to execute."""
        if self.slips and self._slips():
            return np.append(self._slip, self._turned * action[self.noisy :])
        if self.noise == 0:
            return action
        self._push = self.memory * self._push + self._fresh * self.rng.standard_normal(self.noisy)
        noisy = np.clip(action[: self.noisy] + self.strength(action) * self._push, -1, 1)
        return np.append(noisy, action[self.noisy :])

    def _slips(self) -> bool:
        """Whether this step is part of a slip; draws a new one now and then."""
        if not self._slipping and self.rng.random() < self.slips:
            self._slipping = int(self.rng.integers(SLIP_STEPS[0], SLIP_STEPS[1] + 1))
            self._slip = self.rng.uniform(-1, 1, self.noisy) * self.slip_reach
            self._turned = float(self.rng.choice([-1.0, 1.0]))
        self._slipping -= self._slipping > 0
        return self._slipping > 0
