"""navigate_to in version 1: four pads of two colours and two shapes, drawn anew for each start, one of which the instruction names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from envs.language.draws import NUM_THINGS, Draw, draw, numbers
from envs.language.things import PADS
from envs.tasks.floor import PAD_THICKNESS_M, FloorArena
from envs.tasks.navigate_to import CLEARANCE_M, FARTHEST_M, REGION_HALF_M, SCORED_AHEAD_M, NavigateTo

PAD_HALF_M = 0.30  # of a square's and a cross's edge and a circle's radius: 9 pixels across in the mast camera's picture at 96, for shapes are to be told
ARM_HALF_M = 0.10  # half the width of a cross's arms
GAP_M = 0.9  # least distance of pad centres
_BOX, _CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
# Type and sizes along x and y (m) of the two geoms that each pad has: only a cross needs both, of the others they coincide.
GEOMS = {
    "square": ((_BOX, PAD_HALF_M, PAD_HALF_M),) * 2,
    "circle": ((_CYLINDER, PAD_HALF_M, None),) * 2,
    "cross": ((_BOX, PAD_HALF_M, ARM_HALF_M), (_BOX, ARM_HALF_M, PAD_HALF_M)),
}
NAMES = ("target_pad", *(f"other_pad_{number}" for number in range(1, NUM_THINGS)))


class NavigateTo1(NavigateTo):
    """Drives to the pad that the instruction names; success is as in version 0, within 15 cm of its centre.

    `draw` and what goes with it: as in envs.tasks.objects. Every pad is as far from the robot as a target may be, so that places tell nothing.
    """

    version = "1"
    task = "navigate_to"
    pads = dict.fromkeys(NAMES, (0.5, 0.5, 0.5, 1.0))

    draw: Draw

    def __init__(self, robots: Any = "PandaOmron", split: str = "train", **options: Any) -> None:
        self.split = split
        super().__init__(robots, **options)

    def add_pads(self, arena: FloorArena) -> None:
        for name, rgba in self.pads.items():
            arena.add_pad(name, PAD_HALF_M, rgba, geoms=2)

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model._model
        self._pad_geoms = [np.flatnonzero(model.geom_bodyid == model.body(name).id) for name in NAMES]
        for geoms in self._pad_geoms:
            model.geom_rbound[geoms] = np.hypot(PAD_HALF_M, PAD_HALF_M) + PAD_THICKNESS_M  # of the largest

    @property
    def instruction(self) -> str:  # type: ignore[override]
        return self.draw.sentence

    # ---- an episode's start

    def sample_start(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """As in version 0, with four pads; the target is the first."""
        self.draw = draw(rng, self.task, self.split)
        while True:
            pads = rng.uniform(-REGION_HALF_M, REGION_HALF_M, (len(NAMES), 2))
            base = np.append(rng.uniform(-REGION_HALF_M, REGION_HALF_M, 2), rng.uniform(-np.pi, np.pi))
            gaps = [np.linalg.norm(pads[i] - pads[j]) for i in range(len(NAMES)) for j in range(i)]
            to_base = np.linalg.norm(pads - base[:2], axis=1)
            scored = base[:2] + SCORED_AHEAD_M * np.array([np.cos(base[2]), np.sin(base[2])])
            near = min(to_base.min(), np.linalg.norm(pads - scored, axis=1).min())
            if min(gaps) >= GAP_M and near >= CLEARANCE_M and to_base.max() <= FARTHEST_M:
                return {"base": base, "pads": pads}

    def set_start(self, start: dict[str, np.ndarray]) -> None:
        self.dress()
        super().set_start(start)

    def dress(self) -> None:
        """Gives the pads of the model shape and colour of `draw`."""
        model = self.sim.model._model
        for geoms, thing in zip(self._pad_geoms, self.draw.things, strict=True):
            for geom, (kind, x, y) in zip(geoms, GEOMS[thing.shape], strict=True):
                model.geom_type[geom] = kind
                model.geom_size[geom] = (x, PAD_THICKNESS_M / 2, 0.0) if y is None else (x, y, PAD_THICKNESS_M / 2)
                model.geom_rgba[geom] = thing.rgba

    def mean(self, order: Sequence[int]) -> None:
        """Lets the pads be meant in another order; what is seen stays as it is."""
        places = self.sim.data.qpos[self._pad_qpos].reshape(-1, 2)
        self.sim.data.qpos[self._pad_qpos] = places[list(order)].ravel()
        self.draw = self.draw.ordered(order)
        self.dress()

    def scene_numbers(self) -> list[np.ndarray]:
        """What a start sets besides joint positions, for its hash."""
        return [numbers(self.draw, PADS)]

    def mark_xml(self, root: ET.Element) -> None:
        """Makes the XML of the scene that of this start."""
        model = self.sim.model._model
        for name in NAMES:
            for geom in root.findall(f".//body[@name='{name}']/geom"):
                index = model.geom(geom.get("name")).id
                geom.set("type", "cylinder" if model.geom_type[index] == _CYLINDER else "box")
                geom.set("size", " ".join(map(str, model.geom_size[index])))
                geom.set("rgba", " ".join(map(str, model.geom_rgba[index])))

    # ---- what is read of the state

    def privileged(self) -> dict[str, np.ndarray]:
        places = self.sim.data.qpos[self._pad_qpos].reshape(-1, 2)
        return super().privileged() | {f"{name}_pos_world": np.append(place, 0.0) for name, place in zip(NAMES[1:], places[1:], strict=True)}
