"""Things that move by themselves: as fast as told, inside their region, at rest once touched, the same for everybody who plays the same start."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import robosuite

import envs
import envs.tasks  # registers ours with robosuite
from envs.control import FastControl
from envs.experts import EXPERTS
from envs.motion import FLOOR, MOTIONS, SPEEDS, TABLE, motion_of, told
from envs.tasks.motion import Drift
from envs.tasks.table import APART_M, REGION_X_M, REGION_Y_M
from whatwhere.errors import BadInput

SEED = 100_000
OFFERED = [(task, motion) for task in SPEEDS for motion in MOTIONS if (task, motion) != ("navigate_to", "conveyor")]
DT = 1 / 20
EQUALS = {"pick_at_xy": ("target", "twin_1", "twin_2"), "navigate_to": ("red_pad", "green_pad", "blue_pad")}
Made = Callable[..., Any]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """One environment for each choice of options: making one takes longer than an episode."""

    @functools.cache
    def make(task: str, motion: str | None, **options: Any) -> Any:
        return opened.enter_context(contextlib.closing(envs.make(task, motion=motion, size=16, **options)))

    with contextlib.ExitStack() as opened:
        yield make


def start(env: Any, episode: int = 0, horizon: int | None = None) -> dict[str, Any]:
    env.horizon = horizon or env.simulation.default_horizon
    return env.reset(seed=SEED, options={"episode": episode})[1]


def paths(env: Any, steps: int, episode: int = 0) -> dict[str, np.ndarray]:
    """{thing: (steps + 1, 2)} while the robot does nothing."""
    infos = [start(env, episode, horizon=1000), *(env.advance(np.zeros(env.action_dim))[2] for _ in range(steps))]
    names = [name for name in infos[0] if name.endswith("_pos_world") and "gripper" not in name and "goal" not in name]
    return {name.removeprefix("privileged/").removesuffix("_pos_world"): np.array([one[name][:2] for one in infos]) for name in names}


def play(env: Any, episode: int) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """The expert's episode: infos and states, those of the start first."""
    infos, expert = [start(env, episode)], EXPERTS[env.task]()
    states, over = [env.get_state()], False
    while not over:
        terminated, truncated, info = env.advance(expert.perturb(expert.act(infos[-1])))
        infos.append(info)
        states.append(env.get_state())
        over = terminated or truncated
    return infos, states


@pytest.mark.parametrize(("task", "speed"), [("pick_at_xy", None), ("stack_centered", (6.0, 12.0)), ("navigate_to", None)])
def test_a_drift_is_as_fast_as_told_and_turns_inside_its_region(made: Made, task: str, speed: tuple[float, float] | None) -> None:
    env, (slowest, fastest), drawn = made(task, "moving", speed=speed), speed or SPEEDS[task], []
    for episode in range(2):
        told_m_s = np.linalg.norm(start(env, episode)["privileged/target_velocity_world"])
        moved = paths(env, 120, episode)
        way = np.diff(moved["target"], axis=0)
        cm_s = np.linalg.norm(way, axis=1) / DT * 100
        drawn.append(float(np.median(cm_s)))
        assert slowest <= drawn[-1] <= fastest
        assert np.isclose(cm_s, drawn[-1], rtol=1e-6).mean() > 0.6 and cm_s.max() <= drawn[-1] * (1 + 1e-6)
        assert np.allclose(told_m_s * 100, cm_s[0], rtol=1e-3), "experts are told how fast, and it is that fast at once"
        assert ((way[1:] * way[:-1]).sum(axis=1) < 0).any() or task == "navigate_to", "it comes to an end of its way"
        assert np.abs(np.diff(way, axis=0)).max() / DT * 100 <= drawn[-1] * 0.3, "and turns smoothly"
        if task in TABLE:
            assert env._data.xmat[env.simulation._bodies["target"]][8] > 1 - 1e-9, "upright"
            for axis, (low, high) in enumerate((REGION_X_M, REGION_Y_M)):
                assert low - 1e-6 <= moved["target"][:, axis].min() and moved["target"][:, axis].max() <= high + 1e-6
            others = [path for name, path in moved.items() if name != "target"]
            assert all(np.ptp(path, axis=0).max() < 1e-6 for path in others), "what else there is stands still"
            assert min(np.linalg.norm(path - moved["target"], axis=1).min() for path in others) >= APART_M - 1e-3, "and is not run into"
        else:
            assert np.abs(moved["target"]).max() <= 2.0 + 1e-6
    assert len(set(drawn)) == 2


def test_ways_have_round_ends() -> None:
    way = Drift(np.array([1.0, 0.0]), 0.08, behind_m=0.02, ahead_m=0.2)
    along = np.array([way.offset(seconds)[0] for seconds in np.arange(0, 12, 0.002)])
    assert along[0] == 0 and -0.02 <= along.min() and along.max() <= 0.2
    assert along.max() - along.min() > 0.2
    assert np.abs(np.diff(along, 2)).max() / 0.002**2 <= 0.08 * 2 / 0.4 * 1.01, "from one speed to the other in 0.4 s"


def test_on_a_conveyor_everything_travels_together(made: Made) -> None:
    moved = paths(made("pick_at_xy", "conveyor", perturbation="distractors"), 60)
    offsets = np.array([path - path[0] for path in moved.values()])
    assert len(offsets) == 5 and np.linalg.norm(offsets[0], axis=1).max() > 0.05
    assert np.abs(offsets - offsets[0]).max() < 1e-4


@pytest.mark.parametrize("task", ["pick_at_xy", "place_left_of", "navigate_to"])
def test_equal_things_are_equal_and_one_of_them_moves(made: Made, task: str) -> None:
    which, was_moved = made(task, "which"), made(task, "was_moved")
    assert "that moves" in which.instruction and "that was moved" in was_moved.instruction and "red" not in which.instruction
    model, names = which._model, EQUALS.get(task, EQUALS["pick_at_xy"])
    geoms = [model.body(name if task in FLOOR else f"{name}_main").geomadr[0] for name in names]
    for looks in (model.geom_rgba, model.geom_size):
        assert np.array_equal(looks[geoms[0]], looks[geoms[1]]) and np.array_equal(looks[geoms[0]], looks[geoms[2]])
    materials = model.mat_rgba[model.geom_matid[geoms]]
    assert np.array_equal(materials[0], materials[1]) and np.array_equal(materials[0], materials[2])
    moved, after = paths(which, 8), paths(was_moved, 20)
    slowest, fastest = SPEEDS[task]
    assert (slowest * 0.4 <= np.linalg.norm(moved["target"][8] - moved["target"][0]) * 100 + 1e-6 and "twin_1" in moved) or task in FLOOR
    way = 100 * np.linalg.norm(after["target"] - after["target"][0], axis=1)
    assert slowest * 0.5 - 0.1 <= way[10] <= fastest * 0.5 + 0.1, "moved in the first half second"
    assert np.allclose(way[11:], way[11], atol=0.1), "and then at rest"
    assert all(np.ptp(path, axis=0).max() < 1e-6 for one in (moved, after) for name, path in one.items() if name.startswith("twin"))


@pytest.mark.parametrize("task", [*TABLE, *FLOOR])
def test_the_expert_does_not_say_which_before_pictures_do(made: Made, task: str) -> None:
    env = made(task, "which")
    info, expert = start(env), EXPERTS[task]()
    other = dict(info)  # the same scene, but another of the equal things is the one
    other["privileged/target_velocity_world"] = -info["privileged/target_velocity_world"]
    if task in TABLE:
        other |= {"privileged/target_pos_world": info["privileged/twin_1_pos_world"], "privileged/twin_1_pos_world": info["privileged/target_pos_world"]}
    else:
        other |= {"privileged/target_pos_world": np.array([1.0, -1.0, 0.0])}
    assert np.allclose(expert.act(info), expert.act(other))
    steps = 0
    while not info["privileged/is_told"]:
        info, steps = env.advance(expert.act(info))[2], steps + 1
    assert 2 <= steps <= 9
    assert not np.allclose(expert.act(info), expert.act(other | {"privileged/is_told": np.array(1.0)}))


def test_a_nudge_comes_when_the_gripper_is_near_and_once(made: Made) -> None:
    env = made("pick_at_xy", "nudged")
    for episode in range(2):
        infos, _ = play(env, episode)
        near = env.simulation.moving.near_m
        target, hand = (np.array([info[f"privileged/{name}_pos_world"] for info in infos]) for name in ("target", "gripper"))
        speed = np.array([np.linalg.norm(info["privileged/target_velocity_world"]) for info in infos])
        (pushed,) = np.nonzero(speed)
        assert np.ptp(pushed) + 1 == len(pushed) in (7, 8), "once, for 0.4 s"
        first, last = pushed[0] - 1, pushed[-1] + 1
        assert 0.028 <= np.linalg.norm(target[last, :2] - target[first, :2]) <= 0.062
        assert np.abs(target[:first, :2] - target[0, :2]).max() < 1e-4, "at rest before"
        distances = np.linalg.norm(target - hand, axis=1)
        assert 0.07 <= near <= 0.12 and distances[first - 1] >= near > distances[pushed[0]] - 0.02
        assert infos[-1]["success"]


@pytest.mark.parametrize(("task", "motion"), [("pick_at_xy", "moving"), ("place_left_of", "conveyor"), ("navigate_to", "which")])
def test_what_the_robot_touches_stops_for_good(made: Made, task: str, motion: str) -> None:
    infos, _ = play(made(task, motion), 0)
    speed = np.array([np.linalg.norm(info["privileged/target_velocity_world"]) for info in infos])
    touched = int(np.flatnonzero(speed)[-1]) + 1
    assert 5 < touched < len(infos) - 3 and not speed[touched:].any() and infos[-1]["success"]
    assert not made(task, motion)._data.xfrc_applied.any()


def test_a_course_is_a_function_of_the_start(made: Made) -> None:
    env, still = made("pick_at_xy", "moving"), made("pick_at_xy", None)
    assert start(env, 1)["init_hash"] == start(still, 1)["init_hash"], "an object with room for it lies where it would lie anyway"
    assert not {"privileged/target_velocity_world", "privileged/is_told"} & set(start(still, 1))
    infos, states = play(env, 1)
    start(env, 5)
    again, same = play(env, 1)
    assert infos[-1]["success"] and np.array_equal(states, same) and again[-1]["position_error_cm"] == infos[-1]["position_error_cm"]
    env.set_state(states[10])
    assert not env.simulation.moving.stopped, "from a state in the middle it goes on as it went"
    env.advance(np.zeros(7))
    assert np.allclose(env._info["privileged/target_pos_world"][:2], infos[11]["privileged/target_pos_world"][:2], atol=1e-6)
    env.set_state(states[-1])
    assert env.simulation.moving.stopped, "and in the hand it does not go on by itself"


@pytest.mark.parametrize(("task", "motion"), [("pick_at_xy", "moving"), ("navigate_to", "which")])
def test_the_fast_loop_does_what_robosuites_own_does(task: str, motion: str) -> None:
    name = {"pick_at_xy": "PickAtXY", "navigate_to": "NavigateTo"}[task]
    with contextlib.ExitStack() as opened:
        slow, fast = (opened.enter_context(contextlib.closing(robosuite.make(name, motion=motion_of(task, motion, None), seed=3))) for _ in range(2))
        for env in (slow, fast):
            env.reset()
        control, rng, expert = FastControl(fast), np.random.default_rng(0), EXPERTS[task]()
        control.reset()
        assert control.is_fast and np.array_equal(slow.sim.data.qpos, fast.sim.data.qpos)
        for _ in range(45):
            info = {f"privileged/{name}": value for name, value in slow.privileged().items()}
            action = slow.full_action(np.clip(expert.act(info) + 0.1 * rng.standard_normal(len(slow.action_names)), -1, 1))
            slow.step(action.copy())
            control.step(action)
            assert np.array_equal(slow.sim.data.qpos, fast.sim.data.qpos) and np.array_equal(slow.sim.data.qvel, fast.sim.data.qvel)
        assert slow.moving.stopped and fast.moving.stopped, "it was touched on the way"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "motion"), OFFERED)
def test_experts(made: Made, task: str, motion: str) -> None:
    assert sum(play(made(task, motion), episode)[0][-1]["success"] for episode in range(100)) >= 95


@pytest.mark.parametrize(
    ("task", "motion", "speed", "says"),
    [
        ("pick_at_xy", "movng", None, r"motion=movng: unknown.*did you mean moving\?"),
        ("pick_at_xy", "moving", (8, 4), r"speed=\[8,4\]: needs slowest and fastest in cm/s, from 1 to 30"),
        ("pick_at_xy", "which", (4, 31), "from 1 to 30"),
        ("navigate_to", "moving", (0.5, 4), "from 1 to 60"),
        ("pick_at_xy", "moving", (float("nan"), 4), "from 1 to 30"),
        ("pick_at_xy", None, (4, 8), r"speed=\[4, 8\]: is that of a motion; add motion="),
        ("stack_centered", "nudged", (4, 8), "leave it out with motion=nudged"),
        ("navigate_to", "conveyor", None, "valid for it: moving, which, was_moved, nudged"),
        ("robosuite/Lift", "moving", None, "nothing moves by itself in task=robosuite/Lift"),
        ("gymnasium/CartPole-v1", "moving", None, "nothing moves by itself"),
    ],
)
def test_what_is_refused(task: str, motion: str | None, speed: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        envs.make(task, motion=motion, speed=speed)


def test_version_1_has_none_of_it() -> None:
    with pytest.raises(BadInput, match="motion=which: nothing moves by itself in version 1"):
        envs.make("pick_at_xy", motion="which", version=1)


def test_names() -> None:
    names = [told(motion_of("pick_at_xy", motion, None)) for motion in (None, *MOTIONS)]
    assert names == ["still", "moving 4-8 cm/s", "which 4-8 cm/s", "was_moved 4-8 cm/s", "conveyor 4-8 cm/s", "nudged"]
