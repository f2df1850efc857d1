"""Datasets made visible: the table, the warnings, the map of starts and one page that needs nothing else."""

from __future__ import annotations

import dataclasses
import html.parser
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.demos import convert, inspect
from envs.demos.inspection.charts import scatter
from envs.demos.inspection.coverage import Coverage, coverage
from envs.demos.inspection.page import page
from envs.demos.inspection.summary import Summary, longest, summarise
from envs.demos.inspection.warnings import warnings
from tests.envs.demos.demo_files import made_up, write_folder, write_robomimic
from whatwhere.command import parse
from whatwhere.errors import BadInput


def run(demos: Path, *more: str) -> None:
    inspect.main(parse("envs.conf", "inspect", inspect.Settings, [f"demos={demos}", *more]))


def summary(number: int = 0, steps: int = 40, **changes: Any) -> Summary:
    return summarise(f"episode_{number}.hdf5", made_up(number, steps, **changes), 4)


def with_settings(found: Summary, **settings: Any) -> Summary:
    return dataclasses.replace(found, settings=found.settings | settings)


def test_good_demonstrations_have_no_warnings() -> None:
    assert warnings([summary(0), summary(1)]) == []


def test_longest() -> None:
    assert longest(np.array([0, 1, 1, 0, 1, 1, 1], bool)) == (4, 3)
    assert longest(np.zeros(3, bool)) is None


def test_frozen_pictures_are_noticed_while_the_robot_moves() -> None:
    episode = made_up(steps=40)
    assert episode.frames is not None
    episode.frames[10:25, 1] = episode.frames[10, 1]
    found = summarise("a", episode, 4)
    assert found.frozen == {"robot0_eye_in_hand": (10, 14)}
    assert any("robot0_eye_in_hand shows the same picture for 14 steps from step 10" in line for line in warnings([found]))
    episode.actions[10:25, :6] = episode.executed_actions[10:25, :6] = 0  # type: ignore[index]
    episode.actions[:, 6] = 1
    found = summarise("a", episode, 4)
    assert found.idle == (10, 15) and not any(count > 1 for _, count in found.frozen.values())  # it stands still: so may the picture
    assert any("idle for 15 steps from step 10" in line for line in warnings([found]))


def test_a_closing_gripper_is_not_idle() -> None:
    episode = made_up(steps=40)
    episode.actions[:, :6] = episode.executed_actions[:, :6] = 0  # type: ignore[index]
    episode.actions[:, 6] = np.where(np.arange(40) < 20, -1, 1)
    assert summarise("a", episode, 4).idle == (0, 20) or summarise("a", episode, 4).idle == (21, 19)


def test_saturated_actions_but_not_a_gripper() -> None:
    episode = made_up(steps=40)
    episode.actions[:20, 2] = 1
    lines = warnings([summarise("a", episode, 4)])
    assert lines == ["action 2: 50% of steps at the end of its range"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task_version": "1"}, 'mixed task_version: "0" in 2, "1" in 1'),
        ({"versions": {"robosuite": "1.5.2", "mujoco": "3.8.0"}}, 'mixed version of mujoco: "3.9.0" in 2, "3.8.0" in 1'),
        ({"cameras": ["agentview"]}, "mixed cameras"),
        ({"noise": 0.0}, "mixed noise"),
        ({"init_hash": f"{1:016x}"}, "episode_5.hdf5: begins where episode_1.hdf5 begins"),
        ({"seed": 200_000}, "seed 200000 is not one for demonstrations"),
    ],
)
def test_what_does_not_fit_together(settings: dict[str, Any], message: str) -> None:
    assert any(message in line for line in warnings([summary(0), summary(1), with_settings(summary(5), **settings)]))


def test_failures_and_lengths() -> None:
    lines = warnings([summary(0, 10), summary(1, 10), summary(2, 10), summary(3, 40)])
    assert lines == ["1 without success: episode_2.hdf5", "episode_3.hdf5: 40 steps, more than 3 times the median (10)"]


class Tags(html.parser.HTMLParser):
    """Every tag and the places it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.places: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.places += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_stands_alone_and_runs_nothing() -> None:
    evil = '<script>alert(1)</script><img src="http://example.com/x">'
    found = [summary(0, instruction=evil, attrs=made_up().attrs | {"source": evil}), summary(2)]
    text = page(evil, found, [f"a: {evil}"], Coverage(np.zeros((2, 2)), np.ones((3, 2)), evil))
    tags = Tags(text)
    assert "script" not in tags.tags and "link" not in tags.tags
    assert tags.places and all(place.startswith("data:image/jpeg;base64,") for place in tags.places)
    assert not re.search(r"url\(|@import", text)
    assert tags.tags.count("img") == 2 * 2  # a strip a camera
    assert "default-src 'none'" in text
    assert "no success" in text and "1 (50%)" in text


def test_coverage_is_the_distance_of_the_nearest() -> None:
    found = Coverage(np.array([[0.0, 0], [10, 0]]), np.array([[0.0, 1], [10, 0], [5, 12]]), "x")
    np.testing.assert_allclose(found.nearest_cm, [1, 0, 13])
    assert "1.0 cm away (median), 13.0 cm (farthest)" in found.line()
    assert scatter(found.demos, found.evaluation).count("<circle") == 5


def test_foreign_tasks_have_no_map(tmp_path: Path) -> None:
    assert "not one of this package's tasks" in str(coverage([summary()], 5, tmp_path))


def test_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    folder = write_folder(tmp_path / "demos")
    places = [folder, write_robomimic(tmp_path / "lift.hdf5")]
    for to in ("robomimic", "lerobot"):
        convert.main(parse("envs.conf", "convert", convert.Settings, [f"src={folder}", f"out={tmp_path}/{to}.hdf5", f"to={to}"]))
        places.append(tmp_path / f"{to}.hdf5")
    for place in places:
        capsys.readouterr()
        run(place, f"out={tmp_path}/page.html", "starts=0")
        printed = capsys.readouterr().out
        assert "3 demonstrations" in printed.splitlines()[-1] and "2 with success" in printed and "warning: 1 without success" in printed
        assert (tmp_path / "page.html").stat().st_size > 10_000


def test_default_page_is_named_after_the_demonstrations() -> None:
    settings = parse("envs.conf", "inspect", inspect.Settings, ["demos=data/pick/a/"])
    assert settings.page == Path("outputs/inspect/pick-a.html")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["demos=/no/such"], "no such file or folder"), (["demos=docs"], "not demonstrations"), (["demos=x", "pictures=0"], "must be at least 1")],
)
def test_bad_input(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        inspect.main(parse("envs.conf", "inspect", inspect.Settings, arguments))


@pytest.mark.slow
def test_the_map_of_starts_is_where_the_task_puts_them(tmp_path: Path) -> None:
    import envs
    from envs.seeds import REPORTED

    env = envs.make("pick_at_xy", size=16)
    found, targets = [], []
    for number in range(2):
        _, info = env.reset(seed=0, options={"episode": number})
        targets.append(100 * info["privileged/target_pos_world"][:2])
        states = np.repeat(env.get_state()[None], 12, axis=0)
        found.append(summary(number, 12, states=states, attrs=made_up(number).attrs | {"task": "pick_at_xy", "task_version": env.task_version}))
    _, info = env.reset(seed=REPORTED[0], options={"episode": 1})
    env.close()
    positions = coverage(found, 2, tmp_path)
    assert isinstance(positions, Coverage)
    np.testing.assert_allclose(positions.demos, targets, atol=1e-6)
    np.testing.assert_allclose(positions.evaluation[1], 100 * info["privileged/target_pos_world"][:2], atol=1e-6)
    (cached,) = tmp_path.iterdir()
    assert cached.name.startswith("pick_at_xy-v")
