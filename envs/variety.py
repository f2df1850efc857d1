"""What lies on the table besides the cubes of the tasks: everyday things that robosuite brings, simple shapes of any size, colour and texture.

`draw` says which, for play that shows more than any task does. It leaves out `UNSEEN_MESHES` and `UNSEEN_COLOURS`, so that probe scenes can ask for what
pre-training never saw. Imports no simulator.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.catalogue import VARIED
from whatwhere.errors import BadInput, choose

THINGS = ("varied",)  # what `things=` may ask for
# robosuite's objects, and the sizes that they come in, times robosuite's own: at most 9 cm high and 8 cm long.
MESHES: dict[str, tuple[float, ...]] = {
    "bottle": (0.42, 0.52),
    "bread": (1.0, 1.25),
    "can": (0.8, 1.05),
    "cereal": (0.4, 0.52),
    "lemon": (0.9, 1.15),
    "milk": (0.5, 0.6),
}
UNSEEN_MESHES = ("bottle", "milk")  # the bottle is lime, too
UNSEEN_COLOURS = {"lime": 87.0, "magenta": 325.0}  # hues in degrees, far from those that instructions name (envs.language.things)
TARGETS = (*MESHES, *UNSEEN_COLOURS)  # what scenes may ask for
LEFT_OUT_DEG = 25.0  # on either side of such a hue
# Half sizes (m) along x, y and z, from … to.
SHAPES: dict[str, tuple[tuple[float, float], ...]] = {
    "cube": ((0.015, 0.027),) * 3,
    "box": ((0.012, 0.028), (0.012, 0.028), (0.010, 0.032)),
    "ball": ((0.015, 0.027),) * 3,
    "cylinder": ((0.013, 0.026), (0.013, 0.026), (0.012, 0.035)),
    "ellipsoid": ((0.018, 0.028), (0.018, 0.028), (0.013, 0.018)),  # lies flat
}
EQUAL_SIDES = {"cube": 3, "ball": 3, "cylinder": 2}  # how many half sizes are the first one
MESH_SHARE = 0.5  # of all things
# Textures: robosuite's files, of which those that are nearly grey take any colour; and MuJoCo's own patterns, in two greys.
COLOURED = ("blue-wood", "dark-wood", "clay", "wood-varnished-panels")
GREY = ("gray-woodgrain", "gray-plaster", "steel-scratched", "light-gray-floor-tile")
PATTERNS = ("checker", "gradient", "speckled")
TEXTURES = (*COLOURED, *GREY, *PATTERNS)
PLAIN, OWN = "plain", "own"  # one colour; the texture that a mesh comes with
LOOKS = (PLAIN, OWN, *TEXTURES)
OWN_SHARE, PLAIN_SHARE = 0.6, 0.5  # of meshes that keep their own texture; of the others, and of simple shapes, that have none
TABLE_SHARE = 0.6  # of tables with another texture


@dataclass(frozen=True)
class Item:
    """A thing: `shape` is one of `SHAPES` or `MESHES`; `half_m` its half sizes (zeros for a mesh), `grade` which of a mesh's sizes; `look` one of `LOOKS`."""

    shape: str
    half_m: tuple[float, float, float]
    grade: int
    look: str
    rgba: tuple[float, float, float, float]

    def numbers(self) -> list[float]:
        """All of it, for hashes."""
        return [float([*SHAPES, *MESHES].index(self.shape)), *self.half_m, float(self.grade), float(LOOKS.index(self.look)), *self.rgba]


def check_things(task: str, things: str | None, version: int = 0, motion: str | None = None) -> None:
    """Raises BadInput unless `task` can show those things."""
    if things is None:
        return
    choose("things", things, THINGS)
    if task not in VARIED:
        raise BadInput(f"things={things}: nothing lies on a table in task={task}; valid: {', '.join(VARIED)}")
    if version:
        raise BadInput(f"things={things}: in version {version} of a task the instruction names what lies there; leave one of the two out")
    if motion is not None:
        raise BadInput(f"things={things}: nothing moves by itself among them, found motion={motion}; leave one of the two out")


def draw(rng: np.random.Generator, count: int, target: str | None = None) -> tuple[Item, ...]:
    """`count` things, none of them an `UNSEEN_MESHES` or of a colour near `UNSEEN_COLOURS`. With `target`, a mesh, the first is that, and no other is."""
    items = []
    for number in range(count):
        if number == 0 and target is not None:
            items.append(_mesh(rng, target, OWN))
        elif rng.random() < MESH_SHARE:
            names = [name for name in MESHES if name not in UNSEEN_MESHES and name != target]
            items.append(_mesh(rng, names[rng.integers(len(names))], OWN if rng.random() < OWN_SHARE else None))
        else:
            items.append(_shape(rng, list(SHAPES)[rng.integers(len(SHAPES))]))
    return tuple(items)


def draw_table(rng: np.random.Generator) -> str | None:
    """The texture of the table; None: its own."""
    return TEXTURES[rng.integers(len(TEXTURES))] if rng.random() < TABLE_SHARE else None


def _mesh(rng: np.random.Generator, name: str, look: str | None) -> Item:
    grade = int(rng.integers(len(MESHES[name])))
    if look == OWN:
        return Item(name, (0.0, 0.0, 0.0), grade, OWN, (1.0, 1.0, 1.0, 1.0))
    return Item(name, (0.0, 0.0, 0.0), grade, *_look(rng))


def _shape(rng: np.random.Generator, name: str) -> Item:
    half = [float(rng.uniform(low, high)) for low, high in SHAPES[name]]
    half[: EQUAL_SIDES.get(name, 0)] = [half[0]] * EQUAL_SIDES.get(name, 0)
    return Item(name, (half[0], half[1], half[2]), 0, *_look(rng))


def _look(rng: np.random.Generator) -> tuple[str, tuple[float, float, float, float]]:
    """A look and a colour, which tints the texture if there is one."""
    look = PLAIN if rng.random() < PLAIN_SHARE else TEXTURES[rng.integers(len(TEXTURES))]
    red, green, blue = colorsys.hsv_to_rgb(_hue(rng) / 360, rng.uniform(0, 1), rng.uniform(0.2, 1))
    grey = float(rng.uniform(0.6, 1.0))
    return look, (grey, grey, grey, 1.0) if look in COLOURED else (red, green, blue, 1.0)


def _hue(rng: np.random.Generator) -> float:
    """In degrees, none near `UNSEEN_COLOURS`."""
    while True:
        hue = float(rng.uniform(0, 360))
        if not is_left_out(hue):
            return hue


def is_left_out(hue_deg: float, near: Sequence[float] = tuple(UNSEEN_COLOURS.values())) -> bool:
    """Whether play with varied things shows no thing of that hue."""
    return any(abs((hue_deg - other + 180) % 360 - 180) < LEFT_OUT_DEG for other in near)
