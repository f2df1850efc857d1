"""Version 1 of the tasks in the simulator: what is drawn is what lies there and what is said; version 0 and what fits neither are told apart."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest

import envs
from envs.base import TaskEnv
from envs.demos.collect import record
from envs.demos.render import draw as draw_again
from envs.demos.replay import replay
from envs.experts import EXPERTS, DeafExpert
from envs.language.grammar import parse
from envs.language.things import COLOURS
from envs.rendering import Renderer
from envs.tasks.objects import TYPES
from whatwhere.errors import BadInput

SEED = 100_000
TABLE = ("pick_at_xy", "place_left_of", "stack_centered")
each_task = pytest.mark.parametrize("env", envs.TASKS, indirect=True)


@pytest.fixture(scope="module")
def env(request: pytest.FixtureRequest) -> Iterator[TaskEnv]:
    with contextlib.closing(envs.make(request.param, version=1, size=48)) as made:
        yield made


def start(env: TaskEnv, episode: int) -> tuple[dict, dict]:
    return env.reset(seed=SEED, options={"episode": episode})


@each_task
def test_a_start_is_a_function_of_seed_and_episode(env: TaskEnv) -> None:
    first, info = start(env, 0)
    others = {start(env, episode)[1]["init_hash"] for episode in range(1, 4)}
    again, told = start(env, 0)
    assert info["init_hash"] == told["init_hash"] not in others and len(others) == 3
    assert first["instruction"] == again["instruction"]
    np.testing.assert_array_equal(first["frames"], again["frames"])
    with contextlib.closing(envs.make(env.task, version=1, size=48)) as fresh:
        other, told = start(fresh, 0)
        assert told["init_hash"] == info["init_hash"] and other["instruction"] == first["instruction"]
        np.testing.assert_array_equal(first["frames"], other["frames"])


@each_task
def test_unseen_words_are_said_of_the_same_start(env: TaskEnv) -> None:
    said, info = start(env, 2)
    with contextlib.closing(envs.make(env.task, version=1, size=48, split="unseen_words")) as other:
        told, known = start(other, 2)
    np.testing.assert_array_equal(said["frames"], told["frames"])
    assert parse(said["instruction"]) == parse(told["instruction"]) and said["instruction"] != told["instruction"]
    assert info["init_hash"] == known["init_hash"], "so that results are compared start by start"


@each_task
def test_the_instruction_names_what_is_to_be_taken(env: TaskEnv) -> None:
    """The named colour is what is drawn where the target is; on the table the named shape is what is touched."""
    for episode in range(4):
        start(env, episode)
        things = env.simulation.draw.things
        assert parse(env.instruction)[1] == things[0]
        model = env.simulation.sim.model._model
        names = [cube.name + "_main" for cube in env.simulation.own_cubes] if env.task in TABLE else list(env.simulation.pads)
        for name, thing in zip(names, things, strict=True):
            geoms = np.flatnonzero(model.geom_bodyid == model.body(name).id)
            seen = [geom for geom in geoms if model.geom_group[geom] == 1]
            np.testing.assert_allclose(model.geom_rgba[seen], np.tile(COLOURS[thing.colour], (len(seen), 1)), rtol=1e-6)
            if env.task in TABLE:
                assert (model.geom_type[geoms] == TYPES[thing.shape]).all()


@each_task
def test_pictures_are_those_of_a_fresh_renderer(env: TaskEnv) -> None:
    """Shapes and colours change under a renderer that keeps what stands still, and what it measured of each shape."""
    for episode in (3, 0, 5):
        start(env, episode)
        for camera in (*env.cameras, env.scene_camera):
            kept = [env.draw(camera, 96, 96) for _ in range(3)][-1]  # the third uses what stands still
            renderer = Renderer(env.simulation.sim.model._model, env.rendering)
            fresh = renderer.draw(env.simulation.sim.data._data, camera, 96, 96)
            renderer.close()
            np.testing.assert_array_equal(kept, fresh)


@pytest.mark.parametrize("env", ["pick_at_xy"], indirect=True)
def test_things_stay_where_they_lie(env: TaskEnv) -> None:
    """Balls too: nobody touches them for the length of an episode."""
    balls = 0
    for episode in range(3):
        start(env, episode)
        before = env.get_state()[1:]
        for _ in range(env.horizon - 1):
            env.advance(np.zeros(env.action_dim))
        after = env.get_state()[1:]
        for cube, thing in zip(env.simulation.own_cubes, env.simulation.draw.things, strict=True):
            place = env.simulation.sim.model._model.joint(f"{cube.name}_joint0").qposadr[0]
            assert np.linalg.norm(after[place : place + 2] - before[place : place + 2]) < 0.001, f"{thing} of episode {episode}"
            balls += thing.shape == "ball"
    assert balls >= 2


@pytest.mark.parametrize("env", ["stack_centered"], indirect=True)
def test_a_ball_that_is_pushed_comes_to_rest(env: TaskEnv) -> None:
    episode = next(n for n in range(50) if start(env, n) and any(t.shape == "ball" for t in env.simulation.draw.things))
    start(env, episode)
    which = [thing.shape for thing in env.simulation.draw.things].index("ball")
    joint = env.simulation.sim.model._model.joint(f"{env.simulation.own_cubes[which].name}_joint0")
    state = env.get_state()
    state[1 + env.simulation.sim.model._model.nq + joint.dofadr[0] + 2 - 1] = 0.05  # m/s
    env.set_state(state)
    for _ in range(40):
        env.advance(np.zeros(env.action_dim))
    assert np.abs(env.simulation.sim.data._data.qvel[joint.dofadr[0] : joint.dofadr[0] + 3]).max() < 0.002


@each_task
def test_the_xml_shows_the_start(env: TaskEnv) -> None:
    start(env, 1)
    root, model = ET.fromstring(env.model_xml()), env.simulation.sim.model._model
    names = [cube.name + "_main" for cube in env.simulation.own_cubes] if env.task in TABLE else list(env.simulation.pads)
    for name in names:
        geoms = root.findall(f".//body[@name='{name}']/geom")
        assert len(geoms) == 2
        for geom in geoms:
            index = model.geom(geom.get("name", "")).id
            assert geom.get("type") == {2: "sphere", 5: "cylinder", 6: "box"}[int(model.geom_type[index])]
            if model.geom_group[index] == 1:
                np.testing.assert_allclose(np.array(geom.get("rgba", "").split(), float), model.geom_rgba[index], rtol=1e-6)


@pytest.mark.parametrize("env", ["pick_at_xy", "navigate_to"], indirect=True)
def test_a_recorded_episode_is_replayed_and_drawn_again(env: TaskEnv) -> None:
    """The instruction and the colours are those of the episode, not of the one that was reset last."""
    expert = EXPERTS[env.task]()
    episodes = [record(env, expert, SEED, number)[0] for number in (0, 1)]
    assert len({episode.instruction for episode in episodes}) == 2
    for episode in episodes:
        assert episode.success and episode.attrs["task_version"] == "1" and episode.attrs["split"] == "train"
        outcome = replay(env, episode)
        assert outcome.success and outcome.same_start and outcome.drift < 1e-9
        drawn = draw_again(env, episode).frames
        assert drawn is not None and episode.frames is not None
        np.testing.assert_array_equal(drawn, episode.frames)
    for start_from in ("seed", "state"):
        lost = episodes[0]
        lost.attrs |= {"seed": None, "episode": None}
        with pytest.raises(BadInput, match="seed and episode"):
            replay(env, lost, start_from)


@each_task
def test_a_deaf_expert_takes_other_things(env: TaskEnv) -> None:
    rng, taken = np.random.default_rng(0), set()
    deaf = DeafExpert(EXPERTS[env.task](), env.task, rng)
    _, info = start(env, 0)
    for _ in range(60):
        deaf.reset()
        heard = deaf.heard(info)
        target = tuple(heard["privileged/target_pos_world"])
        if env.task in TABLE[1:]:
            goal = heard["privileged/goal_pos_world"] - info["privileged/goal_pos_world"] + info["privileged/reference_pos_world"]
            assert np.linalg.norm(goal[:2] - target[:2]) > 0.05, "one thing is not put beside itself"
            target = (*target, *goal)
        taken.add(target)
        assert np.isfinite(deaf.act(info)).all()
    assert len(taken) == (12 if env.task in TABLE[1:] else 4)


@pytest.mark.parametrize("perturbation", envs.PERTURBATIONS)
def test_perturbed_starts_keep_their_things_and_colours(perturbation: str) -> None:
    with (
        contextlib.closing(envs.make("place_left_of", version=1, size=48, perturbation=perturbation)) as env,
        contextlib.closing(envs.make("place_left_of", version=1, size=48)) as plain,
    ):
        for episode in (0, 1, 0):
            seen, _ = start(env, episode)
            own, _ = start(plain, episode)
            assert seen["instruction"] == own["instruction"] and (seen["frames"] != own["frames"]).any()
            for cube, thing in zip(env.simulation.own_cubes, env.simulation.draw.things, strict=True):
                np.testing.assert_allclose(env.simulation.sim.model._model.geom(f"{cube.name}_g0_vis").rgba, thing.rgba, rtol=1e-6)
                np.testing.assert_array_equal(env.simulation.cube_pos_world(cube.name), plain.simulation.cube_pos_world(cube.name))


def test_distractors_find_room_at_every_start() -> None:
    with contextlib.closing(envs.make("place_left_of", version=1, size=16, perturbation="distractors")) as env:
        rng = np.random.default_rng(0)
        for _ in range(300):
            poses = env.simulation.sample_start(rng)
            places = np.array([pose[:2] for pose in poses.values()])
            gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + 10 * np.eye(len(places))
            assert len(poses) == 6 and gaps.min() >= 0.1


def test_where_things_are_put_nothing_lies() -> None:
    simulation = envs.make("place_left_of", version=1, size=16).simulation
    rng = np.random.default_rng(1)
    for _ in range(300):
        poses = simulation.sample_start(rng)
        goal = simulation.goals(poses)[0, :2]
        assert all(np.linalg.norm(pose[:2] - goal) >= 0.1 for name, pose in poses.items() if name.startswith("other"))


def test_pads_tell_nothing_by_where_they_lie() -> None:
    """Every pad is as far from the robot as the target may be, and none lies upon another."""
    simulation = envs.make("navigate_to", version=1, size=16).simulation
    rng = np.random.default_rng(1)
    for _ in range(100):
        poses = simulation.sample_start(rng)
        distances = np.linalg.norm(poses["pads"] - poses["base"][:2], axis=1)
        assert len(distances) == 4 and distances.min() >= 1.0 and distances.max() <= 2.8
        gaps = np.linalg.norm(poses["pads"][:, None] - poses["pads"][None], axis=-1) + 10 * np.eye(4)
        assert gaps.min() > 2 * 0.3 * np.sqrt(2)


def test_ids_of_gymnasium(recwarn: pytest.WarningsRecorder) -> None:
    assert envs.gymnasium_id("stack_centered", 1) == "whatwhere/StackCentered-v1"
    made = {version: gymnasium.make(envs.gymnasium_id("pick_at_xy", version), size=32) for version in (0, 1)}
    try:
        said = [env.reset(seed=3)[0]["instruction"] for env in made.values()]
        assert said[0] == "pick up the red cube" and parse(said[1])[0] == "pick_at_xy"
        assert made[1].observation_space.contains(made[1].reset(seed=4)[0])
    finally:
        for env in made.values():
            env.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"version": 2}, "version=2: unknown; valid: 0, 1"),
        ({"version": 1, "split": "test"}, "split=test: unknown; valid: train, unseen_pairs, unseen_words"),
        ({"split": "train"}, "split=train: version 0 of a task has one instruction"),
        ({"task": "robosuite/Lift", "version": 1}, "version=1: task=robosuite/Lift has none"),
    ],
)
def test_what_there_is_not_is_refused(options: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        envs.make(**{"task": "pick_at_xy", **options})


@each_task
@pytest.mark.parametrize("fast", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_expert_solves_it(env: TaskEnv, fast: bool) -> None:
    count, solved = (3 if fast else 100), 0
    expert = EXPERTS[env.task]()
    for episode in range(count):
        _, info = start(env, episode)
        expert.reset()
        done = False
        while not done:
            terminated, truncated, info = env.advance(expert.act(info))
            done = terminated or truncated
        solved += info["success"]
    assert solved >= 0.99 * count
