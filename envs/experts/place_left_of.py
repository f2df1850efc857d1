"""The scripted expert of place_left_of."""

from __future__ import annotations

from envs.experts.carry import CarryExpert


class PlaceLeftOfExpert(CarryExpert):
    """Carries the red cube over the green one if need be and puts it on the spot 8 cm to its left."""

    clearance_m = 0.06
    free_m, near_m, placed_m = 0.010, 0.020, 0.030
