"""The table tasks with other things in the place of their cubes, drawn anew for each start (envs.variety): for play and for probe scenes.

Who acts here is not judged: instruction, success and position error are those of the task, as if its cubes lay there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from robosuite.models.arenas import TableArena

from envs.tasks.dresser import Dresser, stock
from envs.tasks.pick_at_xy import PickAtXY
from envs.tasks.place_left_of import PlaceLeftOf
from envs.tasks.stack_centered import StackCentered
from envs.tasks.table import TableTask
from envs.variety import Item, draw, draw_table


class VariedTask(TableTask):
    """What they share; comes before the task among the parents.

    `items`: the things of this start, in the order of `cubes`; with `target`, a mesh, the first is always that. qpos does not hold them: they are a
    function of (task, version, seed, episode), so `reset` to a start comes before `set_state` to a state of it.
    """

    items: tuple[Item, ...] = ()

    def __init__(self, robots: Any = "Panda", target: str | None = None, **options: Any) -> None:
        self.target = target
        super().__init__(robots, **options)

    def furnish(self, arena: TableArena) -> None:
        stock(arena)

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model._model
        self._dresser = Dresser(model, list(self._bodies.values()), model.geom("table_visual").id)

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        self.items, self.table_look = draw(rng, len(self.cubes), self.target), draw_table(rng)
        return super().sample_start(rng)

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        self.dress()
        super().set_start(start)

    def dress(self) -> None:
        """Lets the bodies of the model be `items`."""
        self._fits = dict(zip(self._bodies, self._dresser.dress(self.items, self.table_look), strict=True))

    def half_height_m(self, name: str) -> float:
        return self._fits[name].down_m

    def half_width_m(self, name: str) -> float:
        return self._fits[name].half_width_m

    def scene_numbers(self) -> list[np.ndarray]:
        """What a start sets besides joint positions, for its hash."""
        return [np.array(item.numbers()) for item in self.items]


class PickAtXYVaried(VariedTask, PickAtXY):
    """pick_at_xy."""


class PlaceLeftOfVaried(VariedTask, PlaceLeftOf):
    """place_left_of."""


class StackCenteredVaried(VariedTask, StackCentered):
    """stack_centered."""
