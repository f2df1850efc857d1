"""How long the evaluation takes that `make eval` runs: 100 episodes, the start included."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from eval.benches.child import lines
from eval.benches.figure import Figure
from whatwhere.cores import usable_cores
from whatwhere.counted import counted

EVALUATION_S = 60  # on two cores


def evaluation() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        told = list(lines("eval.run", "task=pick_at_xy", "encoder=pixelwise", f"out={folder}/out"))
    ready = next(at for at, line in told if line.lstrip().startswith("[  1/"))
    note = f"{counted(usable_cores(), 'core')}; the first after {ready:.0f} s; {told[-1][1]}"
    yield Figure("make eval: 100 episodes, 3 videos, start included", told[-1][0], "s", at_most=EVALUATION_S, note=note)
