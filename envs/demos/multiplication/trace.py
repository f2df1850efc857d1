"""A recorded demonstration as motions of hand and objects. Numpy only; row k is what held before action k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envs.demos.episodes import Episode
from envs.demos.multiplication.planar import heading, rotated

if TYPE_CHECKING:
    from envs.demos.multiplication.scene import Scene

GAIN, TURN_GAIN = 3.0, 1.5  # an action asks for so many times what is to be reached by the next step or two: the arm lags behind its goals
SLIP, SLIP_GAP = 0.9, 3  # an executed action that far from the intended one is no noise; so many steps between two such belong to them


@dataclass(frozen=True)
class Trace:
    """t steps of one demonstration; metres, radians, world frame.

    `wanted_…`: where the source wanted the hand to be, of its intended actions: GAIN times the way there is what it asked for. So an action told again for a
    hand that is elsewhere (`aim`) is the recorded action and a correction, as strong as the expert's own.
    """

    hand_pos: np.ndarray  # (t, 3)
    hand_rot: np.ndarray  # (t, 3, 3)
    fingers: np.ndarray  # (t, f)
    wanted_pos: np.ndarray  # (t, 3)
    wanted_rot: np.ndarray  # (t, 3, 3)
    closing: np.ndarray  # (t,) bool: the gripper was sent the command to close
    meant_closing: np.ndarray  # (t,) bool: the source wanted that
    still: np.ndarray  # (t,) bool: nothing was asked for and nothing moved
    slipping: np.ndarray  # (t,) bool: the robot was pushed off its way (envs.experts.noisy)
    objects: dict[str, np.ndarray]  # name → (t, 3)
    headings: dict[str, np.ndarray]  # name → (t,)
    grasped: dict[str, np.ndarray]  # name → (t,) bool

    def __len__(self) -> int:
        return len(self.hand_pos)


def trace_of(scene: Scene, episode: Episode) -> Trace:
    """The motions of a demonstration that was recorded in the scene's task."""
    moments = [scene.moment(state) for state in episode.states]
    hand_pos, hand_rot = np.stack([m.hand_pos for m in moments]), np.stack([m.hand_rot for m in moments])
    fingers = np.stack([m.fingers for m in moments])
    meant = episode.actions.astype(float)
    sent = meant if episode.executed_actions is None else episode.executed_actions.astype(float)
    moves, turns = meant[:, :3] * scene.reach[:3] @ scene.base_rot.T, meant[:, 3:6] * scene.reach[3:] @ scene.base_rot.T
    moved = np.append(np.abs(np.diff(fingers, axis=0)).max(1) > 1e-4, False)
    names = list(moments[0].objects)
    return Trace(
        hand_pos=hand_pos,
        hand_rot=hand_rot,
        fingers=fingers,
        wanted_pos=hand_pos + moves / GAIN,
        wanted_rot=rotated(turns / TURN_GAIN) @ hand_rot,
        closing=sent[:, 6] > 0,
        meant_closing=meant[:, 6] > 0,
        still=(np.abs(sent[:, :6]).max(1) < 0.02) & ~moved,
        slipping=slips(meant, sent),
        objects={name: np.stack([m.objects[name][0] for m in moments]) for name in names},
        headings={name: np.array([heading(m.objects[name][1]) for m in moments]) for name in names},
        grasped={name: np.array([name in m.grasped for m in moments]) for name in names},
    )


def slips(meant: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """(t,) bool: where what was executed is no noise on what was intended, actions being (t, 7)."""
    off = (np.abs(sent[:, :3] - meant[:, :3]).max(1) > SLIP) | (sent[:, 6] * meant[:, 6] < 0)
    return bridged(off, SLIP_GAP)


def bridged(flags: np.ndarray, gap: int) -> np.ndarray:
    """`flags` with gaps of at most `gap` between true ones filled."""
    filled, last = flags.copy(), None
    for k in np.flatnonzero(flags):
        if last is not None and k - last - 1 <= gap:
            filled[last:k] = True
        last = k
    return filled
