"""The floor of the mobile task: a wide checkered plane without walls, and pads that lie on it."""

from __future__ import annotations

from collections.abc import Sequence

from robosuite.models.arenas import EmptyArena
from robosuite.utils.mjcf_utils import array_to_string, new_body, new_element, new_geom, new_joint

FLOOR_HALF_SIZE_M = 10.0  # far beyond the start region: a camera that looks down sees nothing but floor
TILE_M = 0.5
# Two light greys: motion shows in a difference of frames, and no tile is mistaken for a pad.
LIGHT_RGB, DARK_RGB = (0.82, 0.82, 0.81), (0.74, 0.74, 0.74)
PAD_THICKNESS_M = 0.004


class FloorArena(EmptyArena):
    """robosuite's empty arena without its walls, with light checkered tiles of 0.5 m.

    The tiles repeat, so that pictures tell motion but not the place in the world. `frontview` looks down on the whole start region.
    """

    def __init__(self) -> None:
        super().__init__()
        for geom in self.worldbody.findall("geom"):
            if geom is not self.floor:
                self.worldbody.remove(geom)
        for name in ("walls_mat", "tex-light-gray-plaster", "texplane"):
            self.asset.remove(self.asset.find(f"./*[@name='{name}']"))
        colours = {"rgb1": array_to_string(LIGHT_RGB), "rgb2": array_to_string(DARK_RGB)}
        self.asset.append(new_element("texture", "texplane", type="2d", builtin="checker", width="256", height="256", **colours))
        repeats_per_metre = 1.0 / (2 * TILE_M)  # the picture holds 2 × 2 tiles
        self.asset.find("./material[@name='floorplane']").set("texrepeat", array_to_string([repeats_per_metre, repeats_per_metre]))
        self.floor.set("size", array_to_string([FLOOR_HALF_SIZE_M, FLOOR_HALF_SIZE_M, 0.125]))
        self.set_camera("frontview", pos=(0.0, -4.6, 4.2), quat=(0.9063, 0.4226, 0.0, 0.0), camera_attribs={"fovy": "50"})

    def add_pad(self, name: str, radius_m: float, rgba: Sequence[float], geoms: int = 1) -> None:
        """A coloured disc (of so many `geoms` alike) on two slide joints `<name>_x` and `<name>_y` (so its place is part of qpos); it touches nothing."""
        body = new_body(name=name, pos=(0, 0, PAD_THICKNESS_M / 2 + 0.001))
        body.append(new_element("inertial", None, pos=array_to_string([0, 0, 0]), mass="1", diaginertia=array_to_string([0.01, 0.01, 0.02])))
        for letter, axis in (("x", (1, 0, 0)), ("y", (0, 1, 0))):
            body.append(new_joint(name=f"{name}_{letter}", type="slide", axis=array_to_string(axis), damping="1"))
        # Without gloss: a highlight of the cameras' head light would change the colour with the distance.
        self.asset.append(new_element("material", f"{name}_matte", specular="0", shininess="0", rgba=array_to_string(rgba)))
        size = (radius_m, PAD_THICKNESS_M / 2)
        for number in range(geoms):
            more = f"_{number}" if number else ""
            body.append(new_geom(name=f"{name}_disc{more}", type="cylinder", size=size, material=f"{name}_matte", group=1, contype="0", conaffinity="0"))
        self.worldbody.append(body)
