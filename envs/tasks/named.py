"""The table tasks in version 1: as in version 0, but the instruction says with which things (envs.tasks.objects)."""

from __future__ import annotations

from envs.tasks.objects import ObjectsTask, things
from envs.tasks.pick_at_xy import PickAtXY
from envs.tasks.place_left_of import PlaceLeftOf
from envs.tasks.stack_centered import StackCentered


class PickAtXY1(ObjectsTask, PickAtXY):
    """Picks up the thing that the instruction names."""

    version = "1"
    task = "pick_at_xy"
    cubes = things("target")


class PlaceLeftOf1(ObjectsTask, PlaceLeftOf):
    """Puts the thing that is named first left of the other one that is named."""

    version = "1"
    task = "place_left_of"
    cubes = things("target", "reference")


class StackCentered1(ObjectsTask, StackCentered):
    """Stacks two cubes or cylinders that are named, both of 4 cm. Balls may lie beside them."""

    version = "1"
    task = "stack_centered"
    cubes = things("target", "reference")
