"""What one agent keeps of one episode to see that something fails, and what it then does."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from policy.config import PolicyConfig
from policy.fallback import check_fallback
from policy.fallback.detect import blank, is_frozen, received, unheard
from policy.language.strange import trained_on
from policy.transforms import Affine

ARM = 7  # numbers of an arm's action, of which the last is the gripper


@dataclass(frozen=True)
class Fallen:
    """A fallback: since which control step, why, and what is done (hold or other_camera)."""

    step: int
    why: str
    did: str


class Watch:
    """Raises BadInput for a fallback that this policy cannot do. `training`: what its checkpoint says of its training."""

    def __init__(self, fallback: str, config: PolicyConfig, proprio: Affine, training: Mapping[str, Any]) -> None:
        check_fallback(fallback, config.camera_dropout, "the policy")
        self.fallback, self.config, self.proprio = fallback, config, proprio
        self.is_told = training.get("instruction") != ""  # else it never had an instruction
        # a sentence encoder knows more words than training had, and play may have taught some (language=aligned)
        self.known = frozenset() if config.language == "sentence" else trained_on(training) | {*config.vocabulary}
        self.restart()

    def restart(self) -> None:
        self.step = 0
        self.first: Fallen | None = None  # of this episode
        self.now: Fallen | None = None
        self._same: dict[str, tuple[np.ndarray, int, np.ndarray]] = {}  # by camera: its picture, since when it is the same, and proprio then
        self._own: deque[tuple[int, np.ndarray]] = deque()  # proprio by control step, back to the moment of the pictures
        self._given: np.ndarray | None = None  # the last action

    def look(self, obs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The observation as the policy is to see it; `now` says whether and how it is to fall back."""
        if self.fallback == "none":
            return obs
        config = self.config
        frames, faults = received(obs.get("frames"), config.cameras, config.size)
        own = np.asarray(obs.get("proprio"), np.float32)
        if frames.shape != (len(config.cameras), 2, config.size, config.size, 3) or own.shape != (config.proprio_dim,) or not np.isfinite(own).all():
            return obs  # which the agent refuses
        own = self._then((own - self.proprio.shift[: own.size]) / self.proprio.scale[: own.size])  # beside it stands its history
        for index, camera in enumerate(config.cameras):
            why = faults.get(camera) or blank(frames[index]) or self._frozen(camera, frames[index, 1], own)
            if why is not None:
                faults[camera] = why
        said = unheard(obs["instruction"], self.known) if self.is_told and isinstance(obs.get("instruction"), str) else None
        before, self.now = self.now, None
        if faults or said:
            can_go_on = self.fallback == "other_camera" and not said and len(faults) < len(config.cameras)
            whys = [f"{camera} {faults[camera]}" for camera in config.cameras if camera in faults]
            since, why = self.step if before is None else before.step, "; ".join([*whys, *([said] if said else [])])
            self.now = Fallen(since, why, "other_camera" if can_go_on else "hold")
            self.first = self.first or self.now
            frames = frames.copy()
            frames[[camera in faults for camera in config.cameras]] = 0  # black, as in training (camera_dropout)
        return {**obs, "frames": frames}

    def hold(self, execute: int) -> Float[np.ndarray, "k a"]:
        """Actions that keep still: zeros, and the gripper as it was told last (open, if it never was)."""
        actions = np.zeros((execute, self.config.action_dim), np.float32)
        kept = {number: low for number, low, _ in self.config.binary} or ({ARM - 1: -1.0} if self.config.action_dim == ARM else {})
        for number, low in kept.items():
            actions[:, number] = low if self._given is None else self._given[number]
        return actions.clip(-1, 1)

    def went(self, actions: Float[np.ndarray, "k a"]) -> None:
        """These are carried out before the next query."""
        self.step += len(actions)
        self._given = actions[-1]

    def _then(self, own: np.ndarray) -> np.ndarray:
        """Proprio at the moment of the pictures, which may be late."""
        self._own.append((self.step, own))
        while len(self._own) > 1 and self._own[1][0] <= self.step - self.config.latency:
            self._own.popleft()
        return self._own[0][1]

    def _frozen(self, camera: str, picture: np.ndarray, own: np.ndarray) -> str | None:
        before = self._same.get(camera)
        if before is None or not np.array_equal(before[0], picture):
            self._same[camera] = picture.copy(), self.step, own
            return None
        return "is frozen" if is_frozen(self.step - before[1], before[2], own) else None
