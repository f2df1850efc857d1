"""Drawing one frame of a video: the scene with the target marked, and beside it what the policy was given and where it looked.

┌───────────────────────────┬───────────────┐
│ scene, 640 × 480          │ frame │ M │ P │  one row a camera
│ target ⊕ and goal ◇       │ error so far  │
└───────────────────────────┴───────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCENE = (640, 480)  # width, height
PANEL = 480  # width of what stands beside it
WIDTH, HEIGHT = SCENE[0] + PANEL, SCENE[1]
COLUMNS = ("frame", "M: what changed", "P: gradients")
FEW = 4  # keypoints
GAP, HEAD, LABEL, FOOT = 6, 24, 18, 100  # pixels between tiles, above them, above each row, and below them

INK, DIM, GROUND = (236, 238, 240), (150, 156, 164), (24, 26, 30)
GREEN, RED, YELLOW = (72, 199, 116), (240, 84, 84), (255, 206, 84)
ERROR_STEPS_CM = (1, 2, 5, 10, 20, 30, 50, 100, 200, 300, 500)  # upper ends of the error's axis


@cache
def font(size: int) -> Any:
    return ImageFont.load_default(size)


def channels(frames: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(c, 2, h, w, 3) uint8 → for each camera: the present frame, its M and its P channels as pictures (h, w, 3), grey where they are zero.

    M is shown by ΔR, ΔG, ΔB and P by ∂x (red) and ∂y (green), with twice their contrast; ΔL and the colours of P are in the other pictures.
    """
    import torch

    from policy.channels import pair_channels

    seen = pair_channels(torch.from_numpy(frames))
    m, p = seen.m.numpy(), seen.p.numpy()  # (c, 4, h, w), (c, 5, h, w)
    gradients = np.concatenate([p[:, :2], np.zeros_like(p[:, :1])], axis=1)
    pictures = [(0.5 + planes).clip(0, 1) * 255 for planes in (m[:, 1:], gradients)]
    change, edges = (np.moveaxis(picture, 1, -1).astype(np.uint8) for picture in pictures)
    return [(frames[i, 1], change[i], edges[i]) for i in range(len(frames))]


def panel(frames: np.ndarray, cameras: Sequence[str], look: Any = None) -> Image.Image:
    """What the policy was given at its last query, frames (c, 2, h, w, 3), and where it looked: a `policy.look.Look` or None."""
    image = Image.new("RGB", (PANEL, HEIGHT), GROUND)
    draw = ImageDraw.Draw(image)
    tile = min((PANEL - 4 * GAP) // 3, (HEIGHT - HEAD - FOOT) // max(1, len(cameras)) - LABEL - GAP)
    for column, title in enumerate(COLUMNS):
        draw.text((GAP + column * (tile + GAP), 6), title, DIM, font(13))
    for i, pictures in enumerate(channels(frames) if len(cameras) else []):
        top = HEAD + i * (tile + LABEL + GAP)
        draw.text((GAP, top), cameras[i], INK, font(13))
        for column, picture in enumerate(pictures):
            left = GAP + column * (tile + GAP)
            shown = Image.fromarray(picture).resize((tile, tile), Image.Resampling.BICUBIC)
            if column == 0 and look is not None:
                _mark(shown, look, i)
            image.paste(shown, (left, top + LABEL))
    return image


def _mark(picture: Image.Image, look: Any, camera: int) -> None:
    """Keypoints as dots, and brightness by attention where there are few of them, as of words that point (join=similarity), or none."""
    width, height = picture.size
    points = getattr(look, "keypoints", None)
    if points is None or len(points[camera]) <= FEW:
        picture.paste(shaded(picture, np.asarray(look.heat[camera], np.float32)))
    if points is None:
        return
    draw = ImageDraw.Draw(picture)
    for x, y in (np.asarray(points[camera]) + 1) / 2 * (width, height):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), YELLOW, (0, 0, 0))


def shaded(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """The picture as it is where `heat` (rows, columns) is highest, and darker elsewhere."""
    mask = Image.fromarray((255 * (0.35 + 0.65 * heat / max(float(heat.max()), 1e-9))).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.composite(picture, Image.new("RGB", picture.size), mask)


def compose(
    scene: np.ndarray, side: Image.Image, title: str, marks: Mapping[str, np.ndarray], errors_cm: Sequence[float], step: int, horizon: int, control_hz: int,
    instruction: str, outcome: tuple[str, bool | None], inset: Callable[[Image.Image, ImageDraw.ImageDraw], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """uint8 (HEIGHT, WIDTH, 3).

    `scene` (480, 640, 3); `side` from `panel`; `marks`: "target" and "goal" as (2,) column and row in the scene, where the task has them;
    `errors_cm` so far; `outcome`: a word, and whether it is good (None: not yet known). `inset`
    draws something more over the scene.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    image.paste(Image.fromarray(scene).resize(SCENE) if scene.shape[1::-1] != SCENE else Image.fromarray(scene), (0, 0))
    image.paste(side, (SCENE[0], 0))
    draw = ImageDraw.Draw(image)
    for name, point in marks.items():
        if np.isfinite(point).all():  # not behind the camera
            MARKS[name](draw, *point)
    _plate(draw, (8, 8), title, INK)
    _plate(draw, (8, 34), f"step {step} of {horizon} · {step / control_hz:.1f} s", INK)
    word, good = outcome
    _plate(draw, (SCENE[0] - 8, 8), word, DIM if good is None else GREEN if good else RED, anchor="ra", size=18)
    if errors_cm:
        _plate(draw, (8, SCENE[1] - 38), f"position error {errors_cm[-1]:.1f} cm", YELLOW, size=18)
    _plot(draw, errors_cm, horizon, (SCENE[0] + GAP, HEIGHT - FOOT + 40, WIDTH - GAP - 52, HEIGHT - 10))
    draw.text((SCENE[0] + GAP, HEIGHT - FOOT), fitted(f"“{instruction}”", PANEL - 2 * GAP, 14), INK, font(14))
    draw.text((SCENE[0] + GAP, HEIGHT - FOOT + 20), "position error so far", DIM, font(12))
    if inset is not None:
        inset(image, draw)
    return np.asarray(image)


def _plate(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, colour: tuple[int, int, int], anchor: str = "la", size: int = 15) -> None:
    """Text on a dark plate, legible on any scene."""
    left, top, right, bottom = draw.textbbox(at, text, font=font(size), anchor=anchor)
    draw.rectangle((left - 5, top - 3, right + 5, bottom + 4), fill=GROUND)
    draw.text(at, text, colour, font(size), anchor=anchor)


def _cross(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        draw.ellipse((x - 11, y - 11, x + 11, y + 11), outline=colour, width=width)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            draw.line((x + 7 * dx, y + 7 * dy, x + 17 * dx, y + 17 * dy), colour, width)


def _diamond(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    corners = [(x - 10, y), (x, y - 10), (x + 10, y), (x, y + 10), (x - 10, y), (x, y - 10)]
    for colour, width in (((0, 0, 0), 5), (YELLOW, 3)):
        draw.line(corners, colour, width, joint="curve")


MARKS: dict[str, Callable[[ImageDraw.ImageDraw, float, float], None]] = {"target": _cross, "goal": _diamond}


def _plot(draw: ImageDraw.ImageDraw, errors_cm: Sequence[float], horizon: int, box: tuple[int, int, int, int]) -> None:
    """The error over time, from 0 to the first round number above all of it."""
    left, top, right, bottom = box
    highest = next((limit for limit in ERROR_STEPS_CM if limit >= max(errors_cm, default=0)), ERROR_STEPS_CM[-1])
    draw.line((left, bottom, right, bottom), DIM)
    draw.line((left, top, right, top), (60, 64, 70))
    draw.text((right + 5, top - 7), f"{highest} cm", DIM, font(12))
    draw.text((right + 5, bottom - 8), "0", DIM, font(12))
    points = [(left + (right - left) * i / max(horizon, 1), bottom - (bottom - top) * min(error, highest) / highest) for i, error in enumerate(errors_cm)]
    if len(points) > 1:
        draw.line(points, YELLOW, 2)


def fitted(text: str, width: int, size: int) -> str:
    """As much of a text as `width` pixels take."""
    while font(size).getlength(text) > width:
        text = text[:-2] + "…"
    return text
