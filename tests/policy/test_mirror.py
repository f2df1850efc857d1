"""Tasks that go the same in a mirror: pictures, proprio and actions of the image are those of the mirrored scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.demos.episodes import Episode
from envs.experts import EXPERTS
from policy.training.mirror import ARM, MIRRORS

ACROSS = np.array([1.0, -1.0, 1.0])  # y changes its sign
FINGERS = np.array([-1.0, 1.0, 1.0])  # left and right finger change over


def mirrored(info: dict[str, Any]) -> dict[str, Any]:
    """What an expert is told of the mirrored scene."""
    changed = {key: value * ACROSS for key, value in info.items() if key.endswith("pos_world")}
    turned = ACROSS[:, None] * info["privileged/gripper_rot_world"] * FINGERS
    return info | changed | {"privileged/gripper_rot_world": turned, "privileged/target_yaw": -info["privileged/target_yaw"]}


@pytest.mark.parametrize("task", MIRRORS)
def test_an_expert_does_the_mirrored_thing(task: str) -> None:
    env = envs.make(task)
    expert = EXPERTS[task](noise=0.5, rng=np.random.default_rng(3))
    _, info = env.reset(seed=100_300)
    done = False
    while not done:
        action = expert.act(info)
        np.testing.assert_allclose(expert.act(mirrored(info)), action * np.array(MIRRORS[task].actions), atol=1e-6)
        ended, late, info = env.advance(expert.perturb(action))
        done = ended or late
    env.close()


def test_proprio_is_that_of_the_mirrored_hand() -> None:
    env = envs.make("pick_at_xy")
    env.reset(seed=100_300)
    env.advance(np.array([0.5, 1, 0.2, 0.7, -0.5, 1, 1]))
    task: Any = env.simulation
    place, rotation = task.gripper_pos_world() * ACROSS, ACROSS[:, None] * task.gripper_rot_world() * FINGERS
    assert np.linalg.det(rotation) == pytest.approx(1)
    base_pos, base_rot = task.sim.data.xpos[task._base_body], task.sim.data.xmat[task._base_body].reshape(3, 3)
    assert base_pos[1] == pytest.approx(0, abs=1e-9)
    seen = np.concatenate([base_rot.T @ (place - base_pos), rotation[:, 0], rotation[:, 1], [task.gripper_width_m()]])
    np.testing.assert_allclose(task.proprio() * np.array(ARM.proprio), seen, atol=1e-9)
    env.close()


def test_pictures_are_those_of_the_mirrored_table() -> None:
    env = envs.make("stack_centered")
    picture = env.reset(seed=100_301)[0]["frames"][:, 1]
    _put(env, mirror=True)
    other = env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))[0]["frames"][:, 1]
    image = one(env, picture).frames
    assert image is not None
    for camera, pixels in ((0, 0.7), (1, 8.0)):  # the hand starts up to a centimetre off the middle: 7 px of its camera
        as_seen, as_it_is, as_it_was = (_column_of_green(some) for some in (image[0, camera], other[camera], picture[camera]))
        assert abs(as_seen - as_it_is) < pixels < abs(as_it_was - as_it_is), (camera, as_seen, as_it_is, as_it_was)
    env.close()


def _column_of_green(picture: np.ndarray) -> float:
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return float(np.argwhere((green > 1.5 * red) & (green > 1.5 * blue))[:, 1].mean())


def _put(env: TaskEnv, mirror: bool) -> None:
    """The cubes where they are, or where they are in the mirror."""
    task: Any = env.simulation
    start = {name: (*task.cube_pos_world(name)[:2], task.cube_yaw(name)) for name in ("target", *(cube.name for cube in task.cubes[1:]))}
    task.set_start({name: np.array([x, -y, -yaw]) if mirror else np.array([x, y, yaw]) for name, (x, y, yaw) in start.items()})
    task.sim.forward()


def one(env: TaskEnv, picture: np.ndarray) -> Episode:
    """The image of an episode of one step."""
    zeros = np.zeros((1, 7), np.float32)
    episode = Episode(zeros, np.zeros((1, 9)), np.zeros((1, 10), np.float32), picture[None], True, "", {"cameras": list(env.cameras)})
    assert ARM.fits(episode)
    return ARM.image(episode)


def test_other_cameras_and_other_robots_have_no_image() -> None:
    zeros = np.zeros((3, 7), np.float32)
    fits = Episode(zeros, np.zeros((3, 9)), np.zeros((3, 10), np.float32), None, True, "", {"cameras": ["agentview"]})
    assert ARM.fits(fits) and ARM.image(fits).frames is None
    assert not ARM.fits(Episode(zeros, fits.states, fits.proprio, None, True, "", {"cameras": ["agentview", "sideview"]}))
    assert not ARM.fits(Episode(zeros, fits.states, np.zeros((3, 9), np.float32), None, True, "", {"cameras": ["agentview"]}))
