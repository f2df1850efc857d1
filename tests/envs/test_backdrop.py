"""What stands still is drawn once: the same pixels as if everything were drawn each time, whatever moves, and whatever changes its looks."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from envs.rendering import Renderer

SCENE = """<mujoco><worldbody>
  <light name="lamp" pos="0 0 3"/><geom type="plane" size="3 3 0.1" group="1" rgba="0.8 0.8 0.7 1"/>
  <geom name="post" type="cylinder" size="0.1 0.4" pos="0 0.2 0.4" rgba="0.2 0.3 0.8 1" group="1"/>
  <site name="mark" pos="0.3 0 0.01" size="0.05" rgba="0 1 0 1"/>
  <camera name="still" pos="0 -1.2 0.8" xyaxes="1 0 0 0 0.5 0.9"/>
  <body name="car"><freejoint/><geom name="hull" type="box" size="0.15 0.1 0.1" rgba="0.9 0.1 0.1 1" group="1"/>
    <site name="tip" pos="0.2 0 0" size="0.03" rgba="1 1 0 1"/><site name="unseen" size="0.3" rgba="1 1 0 -1"/>
    <camera name="riding" pos="0 -0.5 0.3"/></body>
  <body name="guide" mocap="true" pos="-0.3 0 0.2"><geom type="sphere" size="0.08" rgba="1 0 1 1" group="1"/>
    <body><geom type="sphere" pos="0 0 0.1" size="0.05" rgba="0 1 1 1" group="1"/></body></body>
  {}</worldbody></mujoco>"""


@pytest.fixture
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(SCENE.format(""))


def played(model: mujoco.MjModel, change: Callable[[int, mujoco.MjData], None] = lambda step, data: None, camera: str = "still") -> tuple[Renderer, int]:
    """Draws twenty states with one renderer, each also whole; the renderer, and how many pictures were put before a backdrop."""
    data, fast, whole = mujoco.MjData(model), Renderer(model), Renderer(model)
    whole._standing.can_be_parted = lambda camera, data: False  # type: ignore[method-assign]
    rng, parted = np.random.default_rng(0), 0
    for step in range(20):
        data.qpos[:3] = rng.uniform((-0.6, -0.3, 0.0), (0.6, 0.6, 0.5))  # before, behind and within the post, and through the floor
        data.qpos[3:] = rng.normal(size=4)
        data.mocap_pos[0] = rng.uniform((-0.5, -0.3, 0), (0.5, 0.5, 0.5))
        change(step, data)
        parted += any(fast._backdrops.values())
        np.testing.assert_array_equal(fast.draw(data, camera, 60, 80), whole.draw(data, camera, 60, 80), err_msg=f"step {step}")
    whole.close()
    return fast, parted


def test_the_same_pixels(model) -> None:
    fast, parted = played(model)
    assert parted > 15
    ids = fast.draw(mujoco.MjData(model), "still", 60, 80, segmentation=True)
    assert {model.geom("post").id, model.geom("hull").id} <= set(ids.ravel()), "segmentation is whole"
    fast.close()


def test_planes_are_seen_through_from_below(model) -> None:
    model.cam_pos[model.camera("still").id, 2] = -0.3
    fast, parted = played(model)
    assert not parted
    fast.close()


def test_what_changes_its_looks_is_drawn_anew(model) -> None:
    def change(step: int, data: mujoco.MjData) -> None:
        if step % 4 == 3:
            model.geom_rgba[model.geom("post").id, :3] = step / 20
            model.light_diffuse[0] = 0.2 + step / 40
            model.cam_pos[model.camera("still").id, 0] += 0.05

    fast, parted = played(model, change)
    assert parted > 5
    fast.close()


@pytest.mark.parametrize("name", ["post", "hull"])
def test_nothing_is_parted_where_something_shines_through(model, name) -> None:
    model.geom_rgba[model.geom(name).id, 3] = 0.5

    def far(step: int, data: mujoco.MjData) -> None:
        data.qpos[:3] *= 0.3  # in view

    fast, parted = played(model, far)
    assert not parted
    fast.close()


@pytest.mark.parametrize(
    ("more", "camera"),
    [
        ("", "riding"),
        ('<body><joint type="slide"/><geom size="0.01"/><light pos="0 0 2"/></body>', "still"),
        ('<camera name="turning" mode="targetbody" target="car" pos="0 -1.2 0.8"/>', "turning"),
    ],
)
def test_cameras_and_lights_that_move(more: str, camera: str) -> None:
    model = mujoco.MjModel.from_xml_string(SCENE.format(more))
    if "slide" in more:  # `played` sets the first joint alone
        assert model.nq == 8
    data, fast = mujoco.MjData(model), Renderer(model)
    for _ in range(3):
        fast.draw(data, camera, 60, 80)
    assert not fast._backdrops
    fast.close()
