"""`source=play`: what the hand is at, that all of it is recorded, with both cameras and proprio, and that nobody takes it for demonstrations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.demos import collect, replay
from envs.demos.collect import record
from envs.demos.episodes import episode_paths, read_episode
from envs.experts.play import SHARES, PlayExpert, things
from policy.training.dataset import load_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def settings(*words: str) -> collect.Settings:
    return parse("envs.conf", "collect", collect.Settings, ["task=pick_at_xy", "source=play", "seed=7", *words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("play") / "out"
    collect.main(settings("n=2", "horizon=60", f"out={out}"))
    return out


def test_every_start_is_recorded_whatever_came_of_it(folder: Path, tmp_path: Path) -> None:
    episodes = [read_episode(path) for path in episode_paths(folder)]
    assert [(episode.attrs["episode"], episode.attrs["source"]) for episode in episodes] == [(0, "play"), (1, "play")]
    for episode in episodes:
        assert episode.frames is not None and episode.frames.shape[1:] == (2, 96, 96, 3) and episode.proprio.shape == (len(episode), 10)
        assert episode.executed_actions is not None and set(np.unique(episode.executed_actions[:, -1])) <= {-1.0, 1.0}
    assert not any(episode.success for episode in episodes), "else this start shows nothing"
    replay.main(parse("envs.conf", "replay", replay.Settings, [f"demos={folder}"]))  # exits with 1 where a state differs
    other = tmp_path / "other"
    collect.main(settings("n=1", "horizon=60", f"out={other}"))
    assert (other / "episode_0.hdf5").read_bytes() == (folder / "episode_0.hdf5").read_bytes(), "a function of settings and start"


def test_things_are_grasped_and_lifted() -> None:
    """Of twelve starts without pictures: in most, something leaves the table, and not always the same."""
    import envs

    env, lifted = envs.make("pick_at_xy"), list[str]()
    for start in range(12):
        _, info = env.reset(seed=600, options={"episode": start})
        lowest = max(place[2] for place in things(info).values())
        player = PlayExpert(noise=0.3, rng=np.random.default_rng(start), slips=0.02)
        found, over = set[str](), False
        while not over:
            terminated, truncated, info = env.advance(np.clip(player.perturb(np.clip(player.act(info), -1, 1)), -1, 1))
            found |= {name for name, place in things(info).items() if place[2] > lowest + 0.03}
            over = terminated or truncated
        lifted += found
    env.close()
    assert len(lifted) >= 6 and len(set(lifted)) == 3


def scene() -> dict[str, Any]:
    places = {"gripper": [0, 0, 1.0], "goal": [0.1, 0, 0.8], "target": [0.1, 0.1, 0.82], "other_1": [-0.1, 0.1, 0.82], "reference": [0, -0.1, 0.83]}
    return {f"privileged/{name}_pos_world": np.array(place) for name, place in places.items()} | {"privileged/gripper_width_m": 0.08, "privileged/x": 1}


def test_what_it_is_at_is_drawn() -> None:
    player, seen, steps = PlayExpert(rng=np.random.default_rng(0)), Counter[tuple[str, str]](), []
    for _ in range(600):
        player._choose(scene())
        seen[player.at, player.thing] += 1
        steps.append(player.left)
    assert set(things(scene())) == {"target", "other_1", "reference"} == {thing for _, thing in seen}
    for at, share in SHARES.items():
        assert abs(sum(count for (what, _), count in seen.items() if what == at) / 600 - share) < 0.08
    assert min(steps) >= 6 and max(steps) < 90


def test_it_is_the_same_again_after_a_reset() -> None:
    import envs

    env = envs.make("stack_centered", horizon=25)
    runs = [record(env, PlayExpert(noise=0.3, rng=np.random.default_rng(3), slips=0.02), 7, 2)[0] for _ in range(2)]
    env.close()
    assert (runs[0].states == runs[1].states).all() and (runs[0].actions == runs[1].actions).all()


def test_play_is_no_demonstration(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"episode_0.hdf5: is play, which nobody is to imitate; an inverse model learns from it"):
        load_demos(folder, 2, 8)
    assert load_demos(folder, 2, 8, failed=True).played == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=navigate_to"], "source=play: a hand plays with what lies on a table, which task=navigate_to has not; valid: pick_at_xy"),
        (["task=robosuite/Lift"], "source=play: a hand plays with what lies on a table"),
        (["expert=envs.experts.pick_at_xy:PickAtXYExpert"], "PickAtXYExpert: is not for source=play"),
        (["motion=moving"], "motion=moving: is not for source=play"),
    ],
)
def test_what_cannot_be_played(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings(*words)


def test_it_has_a_folder_of_its_own() -> None:
    assert settings().folder != settings("source=expert").folder and "play-seed7-noise0.3" in str(settings().folder)
    assert settings().content()["noise"] == 0.3 and settings("source=browser").content().get("noise") is None
