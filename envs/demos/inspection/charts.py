"""Small charts as SVG texts; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np


def bars(values: Sequence[tuple[str, int, bool]], width: int = 1040, height: int = 120) -> str:
    """A bar for each (name, value, is it bad), with the largest value at the side."""
    most, each = max(value for _, value, _ in values), min((width - 40) / len(values), 24)
    drawn = []
    for i, (name, value, bad) in enumerate(values):
        tall = (height - 6) * value / most
        colour = "var(--bad)" if bad else "var(--mark)"
        place = f'x="{40 + i * each:.1f}" y="{height - tall:.1f}" width="{max(each - 1.5, 0.5):.1f}" height="{tall:.1f}"'
        drawn.append(f'<rect {place} fill="{colour}"><title>{escape(name)}: {value}</title></rect>')
    drawn += [_word(34, 12, "end", str(most)), _word(34, height, "end", "0"), _line(40, height, width, height)]
    return _svg(width, height + 2, "".join(drawn))


def histogram(counts: np.ndarray, width: int = 132, height: int = 70) -> str:
    """Counts over [-1, 1]; the line marks 0."""
    most, each = max(int(counts.max()), 1), width / len(counts)
    tall = [height * float(count) / most for count in counts]
    drawn = [_line(width / 2, 0, width / 2, height), _line(0, height, width, height)]
    drawn += [f'<rect x="{i * each:.1f}" y="{height - t:.1f}" width="{each - 0.8:.1f}" height="{t:.1f}" fill="var(--mark)"/>' for i, t in enumerate(tall)]
    drawn += [_word(x, height + 13, anchor, word) for x, anchor, word in ((0, "start", "−1"), (width / 2, "middle", "0"), (width, "end", "1"))]
    return _svg(width, height + 16, "".join(drawn))


def scatter(dots: np.ndarray, rings: np.ndarray, size: int = 420) -> str:
    """Two sets of points (n, 2) on one scale, x to the right and y upwards, with a grid at round numbers."""
    both = np.concatenate([dots, rings])
    middle, reach = (both.min(0) + both.max(0)) / 2, max(float(np.ptp(both, axis=0).max()), 1.0) * 0.55
    edge = 34

    def place(points: np.ndarray) -> np.ndarray:
        unit = (points - middle) / reach  # in [-1, 1]
        return np.stack([edge + (unit[:, 0] + 1) / 2 * size, (1 - unit[:, 1]) / 2 * size], axis=1)

    step = next(s * 10.0**e for e in range(-3, 6) for s in (1, 2, 5) if 2 * reach / (s * 10.0**e) <= 8)
    drawn = [f'<rect x="{edge}" y="0" width="{size}" height="{size}" fill="none" stroke="var(--line)"/>']
    for axis in (0, 1):
        for value in np.arange(np.ceil((middle[axis] - reach) / step), np.floor((middle[axis] + reach) / step) + 1) * step:
            point = middle.copy()
            point[axis] = value
            x, y = place(point[None])[0]
            if axis == 0:
                drawn += [_line(x, 0, x, size, "--soft"), _word(x, size + 14, "middle", f"{value:g}")]
            else:
                drawn += [_line(edge, y, edge + size, y, "--soft"), _word(edge - 4, y + 4, "end", f"{value:g}")]
    drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="var(--other)" stroke-width="1.4"/>' for x, y in place(rings)]
    drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="var(--mark)"/>' for x, y in place(dots)]
    return _svg(size + edge + 10, size + 20, "".join(drawn))


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "--line") -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="var({colour})"/>'


def _word(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, content: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" style="max-width:100%" role="img">{content}</svg>'
