"""An inset of videos: for each word of the instruction, the first camera's picture, bright where the word attends; below it, how much the patches attend to
the word. Of policies whose joins let words and patches attend to each other (docs/language.md)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eval.observers.desire_inset import GAP, HEAD, HIGHEST, LEFT, TILE, TOP, WIDEST
from eval.observers.picture import DIM, GROUND, INK, SCENE, YELLOW, fitted, font, shaded

if TYPE_CHECKING:
    from policy.word_attention import WordAttention

BAR = 4  # pixels: the height of a bar
TITLES = ("bright: where it attends", "bar: attention it gets")


def draw_words(image: Image.Image, draw: ImageDraw.ImageDraw, told: WordAttention, frame: NDArray[np.uint8], right: bool = False) -> None:
    """`frame` (h, w, 3): what the first camera saw at the last query. `right`: at the scene's right edge, where something else is at the left one."""
    columns, tile = layout(len(told.words))
    wide = max(columns * (tile + GAP), *(math.ceil(font(11).getlength(title)) + GAP for title in TITLES)) + GAP
    left, high = (SCENE[0] - wide - LEFT if right else LEFT), HEAD + tile + BAR + GAP  # high: of a row
    rows = math.ceil(len(told.words) / columns)
    draw.rectangle((left, TOP, left + wide, TOP + len(TITLES) * HEAD + rows * high), fill=GROUND)
    for line, title in enumerate(TITLES):
        draw.text((left + GAP, TOP + 1 + line * HEAD), title, DIM, font(11))
    heard = told.heard[0]
    for number, word in enumerate(told.words):
        x = left + GAP + number % columns * (tile + GAP)
        y = TOP + len(TITLES) * HEAD + number // columns * high
        draw.text((x, y + 1), fitted(word, tile, 11), INK, font(11))
        shown = Image.fromarray(frame).resize((tile, tile), Image.Resampling.BICUBIC)
        image.paste(shaded(shown, told.of_words[0, number]), (x, y + HEAD))
        length = round(tile * float(heard[number] / max(heard.max(), 1e-9)))
        draw.rectangle((x, y + HEAD + tile + 1, x + length, y + HEAD + tile + BAR - 1), fill=YELLOW)


def layout(words: int) -> tuple[int, int]:
    """How many columns, and a tile's side in pixels: as large as so many words leave it."""

    def side(columns: int) -> int:
        rows = math.ceil(words / columns)
        return min(TILE, (WIDEST - GAP) // columns - GAP, (HIGHEST - len(TITLES) * HEAD) // rows - HEAD - BAR - GAP)

    columns = max(range(1, words + 1), key=side)
    return columns, side(columns)
