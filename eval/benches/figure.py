"""What a benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value and, where there is one, the bar it must clear."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bars = [f"bar: {sign} {bar:g}" for sign, bar in (("≥", self.at_least), ("≤", self.at_most)) if bar is not None]
        verdict = [] if not bars else ["ok" if self.passed else "MISSED"]
        number = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.4g}"
        value = f"{number}{' ' * bool(self.unit)}{self.unit}"
        return f"{self.name:<58}{value:>12}   {' · '.join(bars + verdict)}{'   ' + self.note if self.note else ''}".rstrip()
