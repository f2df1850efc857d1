"""The action probe: what it reads of play, and that it finds an action that can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy.probing.action import action_probe, guess, read_actions
from policy.probing.tokens import pixel_features
from whatwhere.errors import BadInput
from whatwhere.files import write_json

CLIPS, FRAMES, SIZE = 80, 6, 16


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that grow lighter as the first number of the action says; every second clip is of another camera."""
    folder = tmp_path_factory.mktemp("play")
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (CLIPS, FRAMES, 2, 7)).astype(np.float32)
    light = 128 + 8 * np.cumsum(actions[:, :, :, 0].sum(axis=2), axis=1) - 8 * actions[:, :, :, 0].sum(axis=2)
    frames = np.broadcast_to(light[:, :, None, None, None], (CLIPS, FRAMES, SIZE, SIZE, 3)) + rng.normal(0, 1, (CLIPS, FRAMES, SIZE, SIZE, 3))
    actions[0, 0, 0, 5] = np.nan  # a robot without that joint
    np.save(folder / "frames.npy", frames.clip(0, 255).astype(np.uint8))
    (folder / "labels").mkdir()
    np.save(folder / "labels" / "actions.npy", actions)
    rows = [{"clip": i, "take": i // 2, "camera": ("agentview", "robot0_eye_in_hand")[i % 2]} for i in range(CLIPS)]
    write_json(folder / "index.json", {"clip_list": rows})
    return folder


def test_an_action_that_can_be_seen_is_found_and_others_are_not(play: Path) -> None:
    data = read_actions(play, holdout=0.4, gap=1, fit=1000, held_out=1000, seed=0)
    assert (np.isfinite(data.actions)).all()
    assert len(data.frames) == len(data.actions) == 39 * (FRAMES - 1)
    change = next(row for row in action_probe(pixel_features(data.frames), data) if (row["streams"], row["read"]) == ("M", "average"))
    assert change["r2_x"] > 0.9
    assert change["error_x"] < 0.3 * guess(data)["error_x"]
    assert change["r2_gripper"] < 0.2
    assert guess(data)["r2"] <= 0


def test_several_frames_apart_the_actions_between_are_averaged(play: Path) -> None:
    one, three = (read_actions(play, 0.4, gap, 1000, 1000, 0) for gap in (1, 3))
    assert three.actions.std() < 0.8 * one.actions.std()


def test_refusals(play: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="gap=6"):
        read_actions(play, 0.4, 6, 1000, 1000, 0)
    with pytest.raises(BadInput, match="holdout"):
        read_actions(play, 0.01, 1, 1000, 1000, 0)
    with pytest.raises(BadInput, match="frames"):
        read_actions(tmp_path, 0.4, 1, 1000, 1000, 0)
