"""Tasks that go the same in a mirror: left and right changed over, a demonstration of one is a demonstration of it still.

The mirror is the upright plane through the robot, along which its scene camera looks. In it y changes sign, and so do turns about x and z. A hand is its own
mirror image when left and right finger change over, so of its axes the one from finger to finger is turned round besides.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from envs.demos.episodes import Episode


@dataclass(frozen=True)
class Mirror:
    """What becomes of each number of an action and of proprio: 1 stays, −1 changes its sign. `cameras`: those that look along the mirror."""

    actions: tuple[int, ...]
    proprio: tuple[int, ...]

    cameras: tuple[str, ...]

    def fits(self, episode: Episode) -> bool:
        sizes = (episode.actions.shape[1], episode.proprio.shape[1])
        return sizes == (len(self.actions), len(self.proprio)) and set(episode.attrs["cameras"]) <= set(self.cameras)

    def image(self, episode: Episode) -> Episode:
        """The episode as it looks in the mirror; its recorded states stay what they were."""
        actions, proprio = np.array(self.actions, np.float32), np.array(self.proprio, np.float32)
        return dataclasses.replace(
            episode,
            frames=None if episode.frames is None else np.ascontiguousarray(episode.frames[:, :, :, ::-1]),  # (t, c, h, w, 3)
            actions=episode.actions * actions,
            executed_actions=None if episode.executed_actions is None else episode.executed_actions * actions,
            proprio=episode.proprio * proprio,
        )


# x, y, z, turns about them, gripper; position, the hand's axis from finger to finger, its second axis, opening
ARM = Mirror((1, -1, 1, -1, 1, -1, 1), (1, -1, 1, -1, 1, -1, 1, -1, 1, 1), ("agentview", "robot0_eye_in_hand"))

MIRRORS: dict[str, Mirror] = {"pick_at_xy": ARM, "stack_centered": ARM}
