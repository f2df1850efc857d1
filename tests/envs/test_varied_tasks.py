"""Other things in the place of cubes: they rest on the table as they are drawn, are what they are said to be, and depend on the start alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

import envs
from envs.robosuite_env import RobosuiteEnv
from envs.tasks.dresser import PREFIX
from envs.tasks.table import TABLE_TOP_M
from envs.variety import MESHES, OWN, PLAIN, SHAPES, Item

WHITE, RED = (1.0, 1.0, 1.0, 1.0), (0.9, 0.05, 0.05, 1.0)
EVERYTHING = [Item(shape, tuple(high for _, high in bounds), 0, PLAIN, RED) for shape, bounds in SHAPES.items()]  # type: ignore[arg-type]
EVERYTHING += [Item(mesh, (0.0, 0.0, 0.0), grade, OWN, WHITE) for mesh, sizes in MESHES.items() for grade in range(len(sizes))]


@pytest.fixture(scope="module")
def env() -> Iterator[RobosuiteEnv]:
    made = envs.make("pick_at_xy", things="varied", size=96)
    assert isinstance(made, RobosuiteEnv)
    yield made
    made.close()


def show(env: RobosuiteEnv, items: list[Item]) -> None:
    """Puts three things where the start has others."""
    env.reset(seed=1, options={"episode": 0})
    env.simulation.items = tuple(items)
    env.simulation.set_start(env.simulation._start)
    env.set_state(env.get_state())


def lowest(env: RobosuiteEnv, name: str) -> float:
    """Height of the lowest point of what collides of a thing, by its own geometry (m)."""
    model, data = env._model, env._data
    geom = next(int(g) for g in np.flatnonzero(model.geom_bodyid == env.simulation._bodies[name]) if model.geom_contype[g])
    up, size, kind = data.geom_xmat[geom].reshape(3, 3)[2], model.geom_size[geom], model.geom_type[geom]
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        reach = (model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]] @ up).min()
    elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        reach = -np.hypot(up[0], up[1]) * size[0] - abs(up[2]) * size[1]
    elif kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        reach = -size[0]
    else:
        reach = -np.linalg.norm(up * size) if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID else -(np.abs(up) * size).sum()
    return float(data.geom_xpos[geom, 2] + reach)


@pytest.mark.parametrize("first", range(0, len(EVERYTHING), 3))
def test_everything_rests_on_the_table(env: RobosuiteEnv, first: int) -> None:
    items = (EVERYTHING * 2)[first : first + 3]
    show(env, items)
    names = [cube.name for cube in env.simulation.cubes]
    before = np.array([env.simulation.cube_pos_world(name) for name in names])
    assert [lowest(env, name) for name in names] == pytest.approx([TABLE_TOP_M] * 3, abs=1e-4)
    for _ in range(30):
        assert env.advance(np.zeros(7))[2]["failure"] is None
    after = np.array([env.simulation.cube_pos_world(name) for name in names])
    assert np.abs(after - before).max() < 0.003, [item.shape for item in items]
    assert [lowest(env, name) for name in names] == pytest.approx([TABLE_TOP_M] * 3, abs=1e-3)
    assert (after[:, 2] - TABLE_TOP_M < 0.06).all()  # none is large


def test_masses_are_those_that_the_compiler_would_set(env: RobosuiteEnv) -> None:
    show(env, [EVERYTHING[1], EVERYTHING[6], EVERYTHING[-1]])
    ours, compiled = env._model, copy.copy(env._model)
    mujoco.mj_setConst(compiled, mujoco.MjData(compiled))
    for name in ("body_invweight0", "dof_invweight0", "dof_M0"):
        np.testing.assert_allclose(getattr(ours, name), getattr(compiled, name), rtol=1e-6, err_msg=name)
    box = env.simulation._bodies["target"]
    x, y, z = EVERYTHING[1].half_m
    assert ours.body_mass[box] == pytest.approx(600 * 8 * x * y * z)
    assert ours.body_inertia[box] == pytest.approx(ours.body_mass[box] / 3 * np.array([y * y + z * z, x * x + z * z, x * x + y * y]))


def test_what_is_drawn_is_what_is_said(env: RobosuiteEnv) -> None:
    """Where a thing is, its shape is drawn, and nothing that can be seen is left out of the picture."""
    model, seen = env._model, 0
    for episode in range(12):
        env.reset(seed=2, options={"episode": episode})
        ids = env._renderer.draw(env._data, "agentview", 96, 96, segmentation=True)
        for cube, item in zip(env.simulation.cubes, env.simulation.items, strict=True):
            column, row = env.project("agentview", env.simulation.cube_pos_world(cube.name)[None], 96, 96)[0].astype(int)
            geom = int(ids[row, column])
            if geom >= 0 and model.geom_bodyid[geom] == env.simulation._bodies[cube.name]:
                seen += 1
                mesh = model.geom_dataid[geom]
                assert (model.mesh(mesh).name == f"{PREFIX}{item.shape}_{item.grade}") if item.shape in MESHES else mesh == -1
                look = item.shape if item.look == OWN else item.look
                assert model.geom_matid[geom] == (-1 if look == PLAIN else model.material(f"{PREFIX}{look}").id)
    assert seen > 24  # of 36: the arm hides some


def test_pictures_are_those_without_anything_left_out(env: RobosuiteEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simple shapes become meshes and back: what the renderer knows of their sizes follows."""
    for items in (EVERYTHING[:3], EVERYTHING[-3:], EVERYTHING[2:5]):
        show(env, items)
        quick = env.camera_frames()
        with monkeypatch.context() as patch:
            patch.setattr(type(env._renderer._unseen), "__call__", lambda *_: np.zeros(0, int))
            env._renderer._backdrops.clear()
            np.testing.assert_array_equal(quick, env.frames_of(env.moment()))


def test_a_start_depends_on_seed_and_episode_alone(env: RobosuiteEnv) -> None:
    first, info = env.reset(seed=3, options={"episode": 7})
    items, mass = env.simulation.items, env._model.body_mass.copy()
    other, other_info = env.reset(seed=3, options={"episode": 8})
    assert other_info["init_hash"] != info["init_hash"] and env.simulation.items != items
    again, again_info = env.reset(seed=3, options={"episode": 7})
    assert again_info["init_hash"] == info["init_hash"] and env.simulation.items == items
    np.testing.assert_array_equal(again["frames"], first["frames"])
    np.testing.assert_array_equal(env._model.body_mass, mass)
    assert (first["frames"] != other["frames"]).any()
