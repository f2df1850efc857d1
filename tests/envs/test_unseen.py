"""What is left out of a picture was not to be seen in it: pixels are the same, from cameras all over a room with a table, things on, under and behind it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.rendering import Renderer

SHAPE = '<geom type="{}" size="{}" pos="{}" euler="{}" rgba="{} 1" group="1"/>'
ROOM = """<mujoco><asset><mesh name="m" builtin="sphere" params="4" scale="0.2 0.2 0.2"/></asset><worldbody>
  <light pos="0 0 3"/><geom type="plane" size="3 3 0.1" group="1"/>
  <geom name="top" type="box" size="0.4 0.4 0.025" pos="0 0 0.8" rgba="0.6 0.4 0.2 1" group="1"/>
  <geom type="mesh" mesh="m" pos="0 0 0.4" group="1" rgba="0 1 1 1"/>
  <body><joint type="free"/><geom type="mesh" mesh="m" group="1" rgba="1 0 1 1"/></body>
  <camera name="c"/>{}</worldbody></mujoco>"""


def room() -> mujoco.MjModel:
    rng = np.random.default_rng(0)

    def numbers(low: float | tuple[float, ...], high: float | tuple[float, ...], size: int = 3) -> str:
        return " ".join(map(str, rng.uniform(low, high, size)))

    kinds = {"box": 3, "sphere": 1, "capsule": 2, "ellipsoid": 3, "cylinder": 2}
    places = ((-0.8, -0.8, 0.1), (0.8, 0.8, 1.2))
    geoms = [SHAPE.format(kind, numbers(0.02, 0.09, n), numbers(*places), numbers(0, 180), numbers(0, 1)) for _ in range(8) for kind, n in kinds.items()]
    return mujoco.MjModel.from_xml_string(ROOM.format("".join(geoms)))


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return room()


def pictures(model: mujoco.MjModel, rng: np.random.Generator, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Draws from `count` places, each with and without leaving out; how many geoms were outside the view, and how many behind the table's top."""
    data, fast = mujoco.MjData(model), Renderer(model)
    outside = behind = 0
    for _ in range(count):
        model.cam_pos[0] = rng.uniform((-1, -1, 0.2), (1, 1, 1.8))
        mujoco.mju_mat2Quat(model.cam_quat[0], looking_at(model.cam_pos[0], rng.uniform(-0.4, 0.4, 3) + (0, 0, 0.8)).ravel())
        data.qpos[:3] = rng.uniform((-1, -1, 0), (1, 1, 1.5))
        quick = fast.draw(data, "c", 48, 64)
        unseen = fast._unseen
        left_out = set(unseen(fast._data, 0, 64 / 48))
        with monkeypatch.context() as patch:
            patch.setattr(unseen, "_behind", lambda axes, there, outside: np.zeros(len(outside), bool))
            only_outside = set(unseen(fast._data, 0, 64 / 48))
            patch.setattr(type(fast._unseen), "__call__", lambda *_: np.zeros(0, int))
            np.testing.assert_array_equal(quick, fast.draw(data, "c", 48, 64))
        outside, behind = outside + len(only_outside), behind + len(left_out - only_outside)
    fast.close()
    return outside, behind


def looking_at(place: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A camera's rotation (3, 3), upright."""
    back = (place - target) / np.linalg.norm(place - target)
    right = np.cross((0, 0, 1), back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back], axis=1)


def test_the_same_pixels(model, monkeypatch) -> None:
    monkeypatch.setattr("envs.rendering.unseen.WHOLE", 0)  # meshes are looked at part by part
    outside, behind = pictures(model, np.random.default_rng(1), 60, monkeypatch)
    assert outside > 300 and behind > 100, (outside, behind)


def test_nothing_hides_behind_glass_or_a_box_that_was_made_small(model, monkeypatch) -> None:
    top, rng = model.geom("top").id, np.random.default_rng(2)
    alpha, size = model.geom_rgba[top, 3], model.geom_size[top].copy()
    try:
        model.geom_rgba[top, 3] = 0.5
        assert pictures(model, rng, 10, monkeypatch)[1] == 0
        model.geom_rgba[top, 3] = alpha
        model.geom_size[top, :2] = 0.05
        assert pictures(model, rng, 10, monkeypatch)[1] == 0
    finally:
        model.geom_rgba[top, 3], model.geom_size[top] = alpha, size


def test_several_views_at_once_are_the_same_pictures(model) -> None:
    data, fast = mujoco.MjData(model), Renderer(model)
    at_once = fast.views(data, ("c", "c"), 32, 48)
    assert at_once.shape == (2, 32, 48, 3)
    np.testing.assert_array_equal(at_once, np.stack([fast.draw(data, "c", 32, 48)] * 2))
    ids = fast.views(data, ("c",), 32, 48, segmentation=True)
    assert ids.dtype == np.int32 and ids.shape == (1, 32, 48)
    fast.close()
