"""Several sources one after the other, as if they were one: what a person recorded beside what the expert did."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from envs.demos.episodes import Episode
from envs.demos.formats import Reading, open_source


class Joined:
    """See `envs.demos.formats.Source`."""

    def __init__(self, paths: Sequence[str | Path], reading: Reading | None = None) -> None:
        self.sources = [open_source(path, reading) for path in paths]
        self.path = Path(paths[0])
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for source in self.sources:
                stack.enter_context(source)
            self._ends = list(itertools.accumulate(len(source) for source in self.sources))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[Any, int]:
        which = bisect.bisect_right(self._ends, index)
        return self.sources[which], index - (self._ends[which - 1] if which else 0)

    def name(self, index: int) -> str:
        source, own = self._place(index)
        return source.name(own) if len(self.sources) == 1 else f"{source.path}: {source.name(own)}"

    def header(self, index: int) -> dict[str, Any]:
        source, own = self._place(index)
        return source.header(own)

    def episode(self, index: int) -> Episode:
        source, own = self._place(index)
        return source.episode(own)
