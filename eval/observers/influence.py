"""An inset of videos: how much each stream moves the action, over the episode. What it shows is the policy's answer with a stream and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import ImageDraw

from eval.observers.picture import DIM, GREEN, GROUND, SCENE, YELLOW, font

NAMES = {"m": "M: what changed", "p": "P: what is where"}
COLOURS = {"m": YELLOW, "p": GREEN}
WIDTH, HEIGHT, HEAD, BAR = 224, 108, 18, 70  # pixels; of a line of text, and of the longest bar
STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # upper ends of the axis, in an action's own numbers


def draw_influence(draw: ImageDraw.ImageDraw, told: Sequence[tuple[int, Mapping[str, float]]], horizon: int) -> None:
    """`told`: control steps at which the policy was asked, and by how much the numbers of its actions differ without each stream."""
    left, top = SCENE[0] - WIDTH - 8, SCENE[1] - HEIGHT - 8  # the scene's lower right corner
    draw.rectangle((left, top, left + WIDTH, top + HEIGHT), fill=GROUND)
    draw.text((left + 6, top + 3), "the action differs without", DIM, font(12))
    if not told:
        return
    largest = max(value for _, values in told for value in values.values())
    highest = next((limit for limit in STEPS if limit >= largest), STEPS[-1])
    for line, (stream, value) in enumerate(told[-1][1].items()):
        y = top + HEAD * (line + 1) + 3
        length = round(BAR * min(value, highest) / highest)
        draw.rectangle((left + 6, y + 2, left + 6 + length, y + 12), fill=COLOURS[stream])
        draw.text((left + BAR + 12, y), f"{NAMES[stream]}  {value:.2f}", COLOURS[stream], font(12))
    box = (left + 6, top + HEAD * 3 + 8, left + WIDTH - 30, top + HEIGHT - 6)
    draw.line((box[0], box[3], box[2], box[3]), DIM)
    draw.text((box[2] + 4, box[1] - 6), f"{highest:g}", DIM, font(11))
    for stream in told[-1][1]:
        points = [
            (box[0] + (box[2] - box[0]) * step / max(horizon, 1), box[3] - (box[3] - box[1]) * min(values[stream], highest) / highest) for step, values in told
        ]
        if len(points) > 1:
            draw.line(points, COLOURS[stream], 2)
