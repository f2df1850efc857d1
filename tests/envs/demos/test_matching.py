"""Demonstrations that stock robosuite recorded, in robomimic's layout, become those of the task here, or convert says in a line why not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import envs
from envs.demos import convert, render, replay
from envs.demos.episodes import Episode, episode_paths, read_episode
from envs.demos.matching import played
from envs.rendering import prepare_gl
from tests.envs.demos.demo_files import write_robomimic
from whatwhere.command import parse
from whatwhere.errors import BadInput

RECORD = """
import json, sys
from pathlib import Path
from tests.envs.foreign.stock_lift import record
record(Path(sys.argv[1]), **json.loads(sys.argv[2]))
"""


def recorded(path: Path, **options: Any) -> Path:
    """In a process of its own: robosuite's renderer and ours each want the context."""
    told = {**os.environ, "MUJOCO_GL": prepare_gl()[0]}
    done = subprocess.run([sys.executable, "-c", RECORD, str(path), json.dumps(options)], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return path


@pytest.fixture(scope="module")
def lift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("lift") / "lift.hdf5", demos=1)


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch, made: dict[str, Any]) -> None:
    """An environment takes seconds to make, and one of the same options serves every test."""
    make = envs.make

    def make_or_take(task: str, **options: Any) -> Any:
        key = json.dumps([task, options], sort_keys=True)
        if key not in made:
            env = make(task, **options)
            made[key], env.close = env, lambda: None  # type: ignore[method-assign]
        return made[key]

    monkeypatch.setattr(envs, "make", make_or_take)


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, Any]]:
    environments: dict[str, Any] = {}
    yield environments
    for env in environments.values():
        type(env).close(env)


def run(src: Path, out: Path, *more: str) -> list[Episode]:
    convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={src}", f"out={out}", "to=folder", *more]))
    return [read_episode(path) for path in episode_paths(out)]


def changed(path: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    other = folder / "other.hdf5"
    shutil.copy(path, other)
    with h5py.File(other, "r+") as file:
        change(file["data"])
    return other


def put(demo: Any, name: str, values: np.ndarray) -> None:
    del demo[name]
    demo[name] = values


def say(**kwargs: Any) -> Callable[[Any], None]:
    """`env_args` that say something else."""

    def change(data: Any) -> None:
        args = json.loads(data.attrs["env_args"])
        data.attrs["env_args"] = json.dumps(args | {"env_kwargs": args["env_kwargs"] | kwargs})

    return change


def test_they_are_as_the_task_would_have_recorded_them(lift: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (episode,) = run(lift, tmp_path / "demos", "size=96")
    assert "note:" not in capsys.readouterr().out
    attrs = episode.attrs
    assert (attrs["task"], attrs["task_version"], attrs["rendering"], attrs["size"], attrs["control_hz"]) == ("robosuite/Lift", "0", "exact", 96, 20)
    assert attrs["origin"] == {"drawn": [84, 84]} and "no_environment" not in attrs
    env = envs.make("robosuite/Lift", rendering="exact", origin=attrs["origin"])
    env.reset(seed=0)
    assert (episode.instruction, episode.actions.shape[1], episode.proprio.shape[1]) == (env.instruction, env.action_dim, len(env.proprio()))
    for step in (0, len(episode) - 1):
        env.set_state(episode.states[step])
        np.testing.assert_array_equal(episode.proprio[step], env.proprio())
        drawn = env.camera_frames().astype(float)  # as large as the file's, then scaled as they were
        assert np.abs(drawn - episode.frames[step]).mean() < 3  # type: ignore[index]  # another size of cube: robosuite draws it with the model
    env.close()


def test_they_can_be_replayed_and_drawn_again(lift: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(lift, tmp_path / "demos", "size=96")
    replay.main(parse("envs.conf", "replay", replay.Settings, [f"demos={tmp_path / 'demos'}", "start=state", "tolerance=5"]))
    assert "1 of 1 replayed" in capsys.readouterr().out
    render.main(parse("envs.conf", "render", render.Settings, [f"demos={tmp_path / 'demos'}", "rendering=fast", f"out={tmp_path / 'fast'}"]))
    assert read_episode(tmp_path / "fast/episode_0.hdf5").attrs["rendering"] == "fast"


def test_pictures_that_are_upside_down_are_turned(lift: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def turn(data: Any) -> None:
        for name in ("obs/agentview_image", "obs/robot0_eye_in_hand_image"):
            put(data["demo_0"], name, data["demo_0"][name][:][:, ::-1])

    (turned,) = run(changed(lift, tmp_path, turn), tmp_path / "demos", "size=96")
    assert "note: the pictures were upside down, as robosuite itself returns them, and have been turned (1 of 1)" in capsys.readouterr().out
    np.testing.assert_array_equal(np.asarray(turned.frames), np.asarray(run(lift, tmp_path / "upright", "size=96")[0].frames))


def test_channels_first_are_put_last(lift: Path, tmp_path: Path) -> None:
    def first(data: Any) -> None:
        for name in ("obs/agentview_image", "obs/robot0_eye_in_hand_image"):
            put(data["demo_0"], name, np.moveaxis(data["demo_0"][name][:], 3, 1))

    (moved,) = run(changed(lift, tmp_path, first), tmp_path / "demos")
    np.testing.assert_array_equal(np.asarray(moved.frames), np.asarray(run(lift, tmp_path / "last")[0].frames))


LIES: dict[str, tuple[Callable[[Any], None], str]] = {  # what neither the numbers' range nor env_args tell
    "another rate": (say(control_freq=50), "do not lead where its states go"),
    "another direction": (lambda data: put(data["demo_0"], "actions", data["demo_0/actions"][:] * [-1, 1, 1, 1, 1, 1, 1]), "do not lead where its states go"),
    "another order": (lambda data: put(data["demo_0"], "actions", data["demo_0/actions"][:][:, [6, 0, 1, 2, 3, 4, 5]]), "do not lead where its states go"),
    "another grip": (lambda data: put(data["demo_0"], "actions", data["demo_0/actions"][:] * [1, 1, 1, 1, 1, 1, -1]), "its gripper closes where"),
}


@pytest.mark.parametrize("kind", LIES)
def test_actions_that_do_something_else_are_refused(lift: Path, tmp_path: Path, kind: str) -> None:
    change, message = LIES[kind]
    with pytest.raises(BadInput, match=message) as refusal:
        run(changed(lift, tmp_path, change), tmp_path / "demos")
    assert "demo_0" in str(refusal.value) and "\n" not in str(refusal.value) and not list((tmp_path / "demos").glob("episode_*"))


def negative(data: Any) -> None:
    put(data["demo_0"], "obs/agentview_image", 255 - data["demo_0/obs/agentview_image"][:])


HOMELESS: dict[str, tuple[Callable[[Any], None], list[str], str]] = {
    "another robot": (lambda data: put(data["demo_0"], "obs/robot0_eef_pos", data["demo_0/obs/robot0_eef_pos"][:] + 0.3), [], "robot0_eef_pos is 0.3 off"),
    "another model": (lambda data: put(data["demo_0"], "states", data["demo_0/states"][:, :20]), [], "states of 20 numbers, robosuite/Lift has 7 and 32"),
    "another view": (negative, [], "agentview shows something else"),
    "another table": (say(table_full_size=[1, 1, 0.05]), [], "env_kwargs: table_full_size="),
    "a robot that is none": (say(robots=["Pandora"]), [], "robots=Pandora: unknown"),
    "no such task": (lambda data: data.attrs.__setitem__("env_name", "x"), ["task=robosuite/Lyft"], "did you mean robosuite/Lift?"),
    "not of robosuite": (lambda data: data.attrs.__setitem__("env_args", '{"env_name": "Hopper-v2", "type": 2}'), [], "names no task that is known here"),
    "own observations": (lambda data: None, ["proprio=[robot0_joint_pos]"], r"proprio=\[robot0_joint_pos\] was asked for"),
    "our task, another control": (say(control_freq=10), ["task=pick_at_xy"], "pick_at_xy has its own control"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOMELESS)
def test_what_has_no_environment_here_is_said(lift: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    change, more, reason = HOMELESS[kind]
    (episode,) = run(changed(lift, tmp_path, change), tmp_path / "demos", *more)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert line.startswith("note: no environment here fits these demonstrations, so eval.run cannot score what is learnt from them: ")
    assert re.search(reason, line), line
    assert (episode.attrs["task_version"], episode.attrs["rendering"]) == ("unknown", "unknown") and episode.attrs["no_environment"] in line
    for command, module in (("replay", replay), ("render", render)):
        with pytest.raises(BadInput, match="no environment here fits this demonstration: "):
            module.main(parse("envs.conf", command, module.Settings, [f"demos={tmp_path / 'demos'}"]))


def test_a_lerobot_dataset_of_others_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.envs.demos.test_meaning import lerobot

    (episode,) = run(lerobot(tmp_path), tmp_path / "demos_of_it", "task=pick_at_xy")
    assert "holds no states of a simulator" in episode.attrs["no_environment"] and "note: no environment" in capsys.readouterr().out


def test_made_up_files_are_still_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run(write_robomimic(tmp_path / "lift.hdf5"), tmp_path / "demos")) == 3
    assert "(3 of 3)" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "origin"),
    [
        ({"hz": 10, "kp": 400}, {"hz": 10, "kp": [400.0] * 6}),
        ({"output_max": [0.1] * 3 + [1.0] * 3, "output_min": [-0.1] * 3 + [-1.0] * 3}, {"reach": [0.1] * 3 + [1.0] * 3}),
    ],
)
def test_its_control_is_taken_over(tmp_path: Path, options: dict[str, Any], origin: dict[str, Any]) -> None:
    path = recorded(tmp_path / "lift.hdf5", demos=1, size=32, **options)
    (episode,) = run(path, tmp_path / "demos")
    assert episode.attrs["origin"] == {"control": origin}
    drifts = []
    for taken in (episode.attrs["origin"], {}):
        env = envs.make("robosuite/Lift", size=32, origin=taken)
        assert (env.control_hz, env.horizon) == ((origin["hz"], 50) if "hz" in taken.get("control", {}) else (20, 100))
        env.reset(seed=0)
        _, reached, expected, _ = played(env, episode, 0, 8, np.arange(7))  # on its way to the cube: afterwards the cube's size, which varies, has a part
        drifts.append(np.abs(reached - expected).max())
        env.close()
    assert drifts[0] < 1e-3 < 0.05 < drifts[1], drifts


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"control": {"kp": [1, 2]}}, "control.kp"),
        ({"control": {"hz": 0}}, "control: hz: needs control steps a second"),
        ({"control": {"frame": "hand"}}, "control.frame"),
        ({"controls": {}}, "controls"),
        ({"drawn": [10_000, 10]}, "drawn: needs height and width"),
        ({"robots": ["Panda", 5]}, "robots"),
        ({"robots": ["Pandora"]}, "robots=Pandora: unknown"),
        ([], "origin"),
    ],
)
def test_an_origin_that_cannot_be(origin: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        envs.make("robosuite/Lift", size=16, origin=origin or {"": 1})


def test_our_tasks_take_over_pictures_only() -> None:
    with pytest.raises(BadInput, match="has its own control and robot"):
        envs.make("pick_at_xy", size=16, origin={"control": {"hz": 10}})
    with pytest.raises(BadInput, match="a gymnasium environment takes nothing over"):
        envs.make("tests.envs.foreign.own_gymnasium:Reach", size=32, origin={"drawn": [84, 84]})
