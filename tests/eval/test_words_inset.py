"""Where words attend, in videos: a tile a word, bright where the word attends, and a bar for the patches' attention to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from eval.observers.composed import Composed
from eval.observers.desire_inset import GAP, HEAD, HIGHEST, LEFT, TOP, WIDEST
from eval.observers.picture import GROUND, SCENE, YELLOW
from eval.observers.words_inset import BAR, TITLES, draw_words, layout
from eval.rollout import rollout
from policy.word_attention import WordAttention
from tests.eval.eval_fakes import FakeEnv, Reach

WORDS = ("pick", "the", "red", "cube")


def told() -> WordAttention:
    """In the first of two cameras, word i attends to patch (i, i), and patches give it the share (i + 1) / 10."""
    of_words, of_patches = np.zeros((2, 4, 4, 4), np.float32), np.zeros((2, 4, 4, 4), np.float32)
    for i in range(4):
        of_words[0, i, i, i] = 1
        of_patches[0, i] = (i + 1) / 10
    return WordAttention(WORDS, of_words, of_patches)


def drawn(right: bool = False) -> np.ndarray:
    image = Image.new("RGB", (1120, 480), (90, 90, 90))
    draw_words(image, ImageDraw.Draw(image), told(), np.full((32, 32, 3), 200, np.uint8), right)
    return np.asarray(image)


@pytest.mark.parametrize(("words", "columns", "tile"), [(1, 1, 84), (4, 2, 84), (5, 2, 83), (8, 2, 57), (12, 3, 56), (32, 6, 26)])
def test_tiles_are_as_large_as_there_is_room_for(words: int, columns: int, tile: int) -> None:
    assert layout(words) == (columns, tile)
    rows = -(-words // columns)
    assert columns * (tile + GAP) + GAP <= WIDEST and len(TITLES) * HEAD + rows * (HEAD + tile + BAR + GAP) <= HIGHEST


def test_a_tile_is_bright_where_its_word_attends_and_its_bar_as_long_as_it_is_heard() -> None:
    picture, (columns, tile) = drawn(), layout(4)
    for number in range(4):
        x = LEFT + GAP + number % columns * (tile + GAP)
        y = TOP + len(TITLES) * HEAD + number // columns * (HEAD + tile + BAR + GAP) + HEAD
        bright = picture[y : y + tile, x : x + tile, 0].astype(int)
        row, column = np.unravel_index(bright.argmax(), bright.shape)
        assert (row * 4 // tile, column * 4 // tile) == (number, number)
        assert bright.max() == 200 and np.median(bright) == pytest.approx(0.35 * 200, abs=1)
        bar = (picture[y + tile + 2, x : x + tile + 1] == YELLOW).all(-1).sum()
        assert bar == pytest.approx(tile * (number + 1) / 4, abs=1.5)


@pytest.mark.parametrize("right", [False, True])
def test_it_stays_at_its_edge_of_the_scene(right: bool) -> None:
    rows, columns = np.nonzero((drawn(right) != 90).any(-1))
    wide, (across, tile) = columns.max() - columns.min(), layout(4)
    assert (SCENE[0] - columns.max() if right else columns.min()) == LEFT and across * (tile + GAP) + GAP <= wide <= WIDEST
    assert rows.min() == TOP and rows.max() <= TOP + HIGHEST


class Attentive(Reach):
    def word_attention(self) -> Any:
        return told()


class Frames(Composed):
    def __init__(self) -> None:
        super().__init__("x")
        self.frames: list[np.ndarray] = []

    def take(self, frame: np.ndarray) -> None:
        self.frames.append(frame)


def test_videos_show_it_from_the_first_query_on() -> None:
    shown, plain = Frames(), Frames()
    assert rollout(FakeEnv(), Attentive(), 5, 0, [shown])["steps"] == rollout(FakeEnv(), Reach(), 5, 0, [plain])["steps"]
    assert (shown.frames[0] == plain.frames[0]).all(), "nothing was asked yet"
    for frame, other in zip(shown.frames[1:], plain.frames[1:], strict=True):
        rows, columns = np.nonzero((frame != other).any(-1))
        assert len(rows) and (frame[TOP, LEFT + 1 : LEFT + 100] == GROUND).all()
        assert columns.min() >= LEFT and columns.max() <= LEFT + WIDEST and rows.min() >= TOP and rows.max() <= TOP + HIGHEST
