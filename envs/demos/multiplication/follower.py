"""Plays moved segments at a new start: each control step's action is derived anew from where hand and objects are now, so that errors do not add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envs.demos.multiplication.choice import Choose
from envs.demos.multiplication.legs import Approach, Away, Carry, Leg
from envs.demos.multiplication.moment import Moment
from envs.demos.multiplication.planar import rotation_vector
from envs.demos.multiplication.sources import Frame, Source
from envs.demos.multiplication.trace import GAIN, TURN_GAIN
from envs.experts.arm import CLOSE, OPEN, ArmExpert

if TYPE_CHECKING:
    from envs.demos.multiplication.scene import Scene

AT_M, AT_RAD = 0.012, 0.15  # so near to a step it counts as reached, …
EXACTLY_M, EXACTLY_RAD = 0.006, 0.10  # … where the fingers close or let go
AT_ONCE = 4  # steps of the source that one control step may pass
NEAR_LEAD_M = 0.01  # with `hurry`, near objects the hand is always asked for at least so much
PATIENCE = 15  # steps after which it counts as reached anyhow
OFF_M = 0.04  # pushed so far off near an object, the hand goes back to where it came near
LOST_M, LOST_STEPS = 0.02, 4  # an object is lost that is so far from where it was held, or not between the fingers for so many steps
MOST_TRIES = 5  # of one hold
SETTLING = 20  # steps after the last one until it tries all again


class Follower(ArmExpert):
    """Follows the holds of `frames`, one after the other; `choose` says of which source.

    Like an expert: `act` is the action, `perturb` what is executed (noise, slips). An object that was missed or lost is grasped again.
    """

    def __init__(self, scene: Scene, frames: list[Frame], choose: Choose, *, hurry: bool, noise: float, slips: float, rng: np.random.Generator) -> None:
        self.scene, self.frames, self._choose, self._hurry = scene, frames, choose, hurry
        super().__init__(noise=noise, rng=rng, slips=slips)

    def reset(self) -> None:
        """At the start of an episode."""
        super().reset()
        self.used: list[dict[str, object]] = []  # segments, in the order in which they were begun
        self.failure: str | None = None
        self._tries, self._hold, self._failed = 0, 0, set[int]()
        self._begin_approach(self.scene.moment())

    def act(self, info: dict[str, object]) -> np.ndarray:
        """(7,) in [−1, 1]. `info` is not asked: all is read of the scene."""
        now = self.scene.moment()
        self._advance(now)
        leg, index = self._leg, self._index
        aim = leg.aim(index, now)
        base = self.scene.base_rot.T
        move = GAIN * (base @ (aim.pos - now.hand_pos)) / self.scene.reach[:3]
        turn = TURN_GAIN * (base @ rotation_vector(aim.rot @ now.hand_rot.T)) / self.scene.reach[3:]
        return np.concatenate([_within(move), _within(turn), [CLOSE if leg.closes <= index < leg.opens else OPEN]])

    # ---- from step to step

    def _advance(self, now: Moment) -> None:
        if self._is_lost(now):
            self._again(now)
        self._waited += 1
        for more in range(AT_ONCE):
            if (more and not self._may_skip(now)) or (self._waited <= PATIENCE and not self._is_reached(now)):
                return
            self._waited = 0
            self._index += 1
            if self._index == len(self._leg.steps):
                self._next_leg(now)
                return
            if isinstance(self._leg, Approach) and self._index == self._leg.closes:
                self._leg.close(now)

    def _may_skip(self, now: Moment) -> bool:
        """Whether the present step is one of several that one control step may pass: slowness on the way to an object or up with it need not be repeated."""
        leg, index = self._leg, self._index
        if index < leg.free:
            return True
        to_or_up = index < leg.closes if isinstance(leg, Approach) else isinstance(leg, Carry) and not leg.hold.is_let_go
        return self._hurry and to_or_up and float(np.linalg.norm(leg.aim(index, now).pos - now.hand_pos)) < NEAR_LEAD_M

    def _is_reached(self, now: Moment) -> bool:
        leg, index = self._leg, self._index
        aim = leg.aim(index, now)
        off = float(np.linalg.norm(aim.pos - now.hand_pos))
        turned = float(np.linalg.norm(rotation_vector(aim.rot @ now.hand_rot.T)))
        if index < leg.free:
            full = float(self.scene.reach[0]) / GAIN
            return off < max(aim.lead, full if self._hurry else EXACTLY_M) and turned < 2 * AT_RAD
        if index + 1 < len(leg.steps):
            off = min(off, float(np.linalg.norm(leg.aim(index + 1, now).was - now.hand_pos)))
        if isinstance(leg, Approach):
            if index < leg.closes and not leg.is_open(now):
                return False  # after a miss or a slip
            if index + 1 == leg.closes:
                return off < EXACTLY_M and turned < EXACTLY_RAD
            if index == leg.grasped and leg.hold.name not in now.grasped:
                return False
        elif isinstance(leg, Carry) and leg.hold.is_let_go and index + 1 == len(leg.steps):
            return off < EXACTLY_M
        return off < AT_M and turned < AT_RAD

    def _next_leg(self, now: Moment) -> None:
        leg, index = self._leg, self._hold
        if isinstance(leg, Approach):
            source = self._choose(index, "carry", now, frozenset(self._failed))
            assert leg.place is not None
            self._enter(Carry(source.trace, source.holds[index], self.frames[index], self.scene.symmetry, leg.place, now), source, str(self.frames[index]))
            self._held_at = _held_at(now, leg.hold.name)
        elif isinstance(leg, Carry) and leg.hold.is_let_go:
            self._enter(Away(leg.trace, leg.hold, now), None, "")
        elif self._hold + 1 < len(self.frames):
            self._hold, self._tries, self._failed = self._hold + 1, 0, set()
            self._begin_approach(now)
        else:
            self._index -= 1  # stays there
            self._settled += 1
            self._waited = PATIENCE  # and counts on
            if self._settled > SETTLING:
                self._hold = 0
                self._again(now)

    def _begin_approach(self, now: Moment) -> None:
        source = self._choose(self._hold, "approach", now, frozenset(self._failed))
        hold = source.holds[self._hold]
        self._enter(Approach(source.trace, hold, self.scene.symmetry[hold.name], now), source, hold.name)

    def _enter(self, leg: Leg, source: Source | None, about: str) -> None:
        self._leg, self._index, self._waited, self._missing, self._settled = leg, 0, 0, 0, 0
        if source is not None:
            self._source = source
            self.used.append({"source": source.number, "about": about, "steps": [int(leg.steps[0]), int(leg.steps[-1])]})

    # ---- what goes wrong

    def _is_lost(self, now: Moment) -> bool:
        """Whether the object is no longer where it should be: missed, or lost on the way."""
        leg = self._leg
        if isinstance(leg, Approach):
            if self._index >= leg.closes:
                self._missing = 0 if leg.hold.name in now.grasped or self._index <= leg.grasped else self._missing + 1
                return self._missing > LOST_STEPS or self._off(now) > OFF_M
            if self._index > leg.free and self._off(now) > OFF_M:
                self._index, self._waited = leg.free, 0
            return False
        if isinstance(leg, Carry):
            self._missing = 0 if leg.hold.name in now.grasped else self._missing + 1
            return self._missing > LOST_STEPS or float(np.linalg.norm(_held_at(now, leg.hold.name) - self._held_at)) > LOST_M
        return False

    def _off(self, now: Moment) -> float:
        """How far the hand is from the straight line between the step before and this one."""
        before, here = (self._leg.aim(index, now).was for index in (max(self._index - 1, 0), self._index))
        way, gone = here - before, now.hand_pos - before
        share = float(np.clip(gone @ way / max(float(way @ way), 1e-12), 0, 1))
        return float(np.linalg.norm(gone - share * way))

    def _again(self, now: Moment) -> None:
        """To the object once more, from wherever the hand is, as another source did."""
        self._tries += 1
        self._failed |= {self._source.number}
        if self._tries >= MOST_TRIES:
            self.failure = "lost"
        self._begin_approach(now)
        leg = self._leg
        assert isinstance(leg, Approach)
        self._index = min(leg.free, len(leg.steps) - 1)


def _held_at(now: Moment, name: str) -> np.ndarray:
    """(3,): the object's place as the hand has it."""
    return now.hand_rot.T @ (now.objects[name][0] - now.hand_pos)


def _within(action: np.ndarray) -> np.ndarray:
    """No longer than it may be, in the same direction."""
    return action / max(1.0, float(np.abs(action).max()))
