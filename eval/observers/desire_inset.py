"""An inset of videos: what the policy wants, drawn for each of its cameras, and what it wanted for the present beside what then came (docs/planner.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eval.goals.desire import Desire
from eval.observers.picture import DIM, GROUND, INK, font

LEFT, TOP, GAP, HEAD = 8, 86, 4, 15  # pixels: the inset's corner, between tiles, and a line of text above each row of them
TILE, WIDEST, HIGHEST = 84, 184, 350  # a tile's side and the inset, at most: the scene's left edge, where the hand seldom is
THEN, NOW = "for now", "what came"  # below "wanted"


class DesireInset:
    """Holds what was wanted in an episode so far."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Desire]] = []
        self.now: NDArray[np.uint8] | None = None

    def add(self, step: int, desire: Desire, now: NDArray[np.uint8]) -> None:
        """What is wanted at this control step, and what the cameras saw (c, h, w, 3)."""
        self.told.append((step, desire))
        self.now = now

    def rows(self) -> list[tuple[str, NDArray[np.uint8] | None]]:
        """Title and pictures, None while there are none yet: what is wanted; then, where that is so many steps ahead, what was wanted for the present, and the
        present. All are those of the last query.
        """
        step, desire = self.told[-1]
        when = "at the end" if desire.ahead is None else f"in {desire.ahead} steps"
        shown: list[tuple[str, NDArray[np.uint8] | None]] = [(f"{desire.pictures[0][0]} {when}", desire.pictures[0][1]), *desire.pictures[1:]]
        if desire.ahead is None:
            return shown
        title = desire.pictures[0][0]
        then = [earlier.pictures[0][1] for asked, earlier in self.told if asked <= step - desire.ahead]
        return [*shown, (f"{title} {THEN}", then[-1] if then else None), (NOW, self.now if then else None)]

    def draw(self, image: Image.Image, draw: ImageDraw.ImageDraw) -> None:
        if not self.told or self.now is None:
            return
        rows, cameras = self.rows(), len(self.now)
        tile = min(TILE, HIGHEST // len(rows) - HEAD - GAP, WIDEST // max(1, cameras) - GAP)
        high = HEAD + tile + GAP  # of a row
        draw.rectangle((LEFT, TOP, LEFT + max(cameras * (tile + GAP), TILE) + GAP, TOP + len(rows) * high), fill=GROUND)
        for row, (title, pictures) in enumerate(rows):
            top = TOP + row * high
            draw.text((LEFT + GAP, top + 1), title, INK if row == 0 else DIM, font(11))
            for camera, picture in enumerate(() if pictures is None else pictures):
                shown = Image.fromarray(picture).resize((tile, tile), Image.Resampling.BICUBIC)
                image.paste(shown, (LEFT + GAP + camera * (tile + GAP), top + HEAD))
