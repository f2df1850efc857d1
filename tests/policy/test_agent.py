from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.model import build
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config, observation
from whatwhere.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def agent(encoder: str = "pixelwise", **options: Any) -> Agent:
    torch.manual_seed(0)
    policy: Any = build(config(encoder))
    with torch.no_grad():
        policy.head.act[-1].weight.mul_(30)
    return Agent(policy, {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}, **options)


def test_act_gives_numpy_actions_in_range() -> None:
    actions = agent(execute=3).act(observation())
    assert actions.shape == (3, 7)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1


def test_no_state_leaks_between_queries_or_episodes() -> None:
    one = agent()
    first = one.act(observation(0))
    one.act(observation(1))
    assert np.array_equal(one.act(observation(0)), first)


def test_actions_are_in_the_units_of_the_world() -> None:
    plain, scaled = agent(execute=4), agent(execute=4)
    scaled.normalisation["actions"] = Affine(np.full(7, 0.25, np.float32), np.full(7, 0.5, np.float32))
    expected = plain.policy.predict(torch.from_numpy(observation()["frames"])[None], torch.from_numpy(observation()["proprio"])[None], _task())
    assert np.allclose(scaled.act(observation()), np.clip(expected.actions[0, :4].detach().numpy() * 0.5 + 0.25, -1, 1), atol=1e-6)


def _task() -> torch.Tensor:
    from policy.language.bag import bag_of_words

    return bag_of_words(observation()["instruction"])[None]


def test_ensembling_averages_overlapping_chunks() -> None:
    plain, joined = agent(execute=8), agent(execute=2, ensemble=0.0)
    chunks = [plain.act(observation(seed)) for seed in range(3)]
    for seed in range(2):
        joined.act(observation(seed))
    expected = (chunks[0][4:6] + chunks[1][2:4] + chunks[2][:2]) / 3
    if all(np.abs(chunk).max() < 1 for chunk in chunks):  # no clipping in between
        assert np.allclose(joined.act(observation(2)), expected, atol=1e-6)
    joined.reset()
    assert np.allclose(joined.act(observation(2)), chunks[2][:2])


@pytest.mark.parametrize(("encoder", "spatial"), [("pixelwise", True), ("all_patches_late", True), ("cnn_keypoints", True), ("avg_late", False)])
def test_attention(encoder: str, spatial: bool) -> None:
    one = agent(encoder)
    assert one.attention() is None
    one.act(observation())
    look = one.attention()
    assert (look is not None) == spatial
    if look is not None:
        assert look.keypoints.shape == (2, 8, 2)
        assert look.heat.shape == (2, 4, 4)
        assert np.allclose(look.heat.sum(axis=(1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("frames", np.zeros((2, 2, 48, 48, 3), np.uint8), r"frames: found uint8 \(2, 2, 48, 48, 3\), needs uint8 \(2, 2, 32, 32, 3\)"),
        ("frames", np.zeros((1, 2, 32, 32, 3), np.uint8), r"frames: found .*\(1, 2, 32"),
        ("frames", np.zeros((2, 2, 32, 32, 3), np.float32), r"frames: found float32"),
        ("proprio", np.zeros(PROPRIO + 1, np.float32), r"proprio: found float32 \(6,\), needs float32 \(5,\)"),
        ("proprio", np.full(PROPRIO, np.nan, np.float32), "NaN"),
        ("instruction", 3, "instruction: found int, needs str"),
        ("proprio", None, "no proprio"),
    ],
)
def test_wrong_observations_are_refused_in_one_line(key: str, value: Any, message: str) -> None:
    obs = observation() | {key: value}
    if value is None:
        del obs[key]
    with pytest.raises(BadInput, match=message) as caught:
        agent().act(obs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"execute": 9}, "execute=9: must be a whole number from 1 to 8"),
        ({"execute": 0}, "execute=0"),
        ({"execute": True}, "execute=True"),
        ({"ensemble": -1.0}, "ensemble=-1.0"),
        ({"ensemble": float("nan")}, "ensemble=nan"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        agent(**options)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
@pytest.mark.parametrize("place", [str, Path])
def test_devices_and_paths_as_text_and_as_objects(device: Any, place: Any) -> None:
    one = Agent.from_pretrained(place(ROOT / "checkpoints/pick_at_xy/cnn_keypoints"), device=device)
    assert one.config.encoder == "cnn_keypoints"


@pytest.mark.parametrize("device", ["gpu", "meta", torch.device("meta"), "cuda:99", ""], ids=str)
def test_a_device_that_cannot_be_is_one_line(device: Any) -> None:
    with pytest.raises(BadInput, match="device=") as caught:
        Agent.from_pretrained("pick_at_xy/cnn_keypoints", device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["a\0b", "x" * 5000, ""], ids=lambda place: repr(place)[:20])
def test_a_place_that_cannot_be_is_one_line(place: Any) -> None:
    with pytest.raises(BadInput, match="checkpoint=") as caught:
        Agent.from_pretrained(place)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 6000


# In a process of its own, since types are checked here.
WRONG_TYPES = """
import sys, torch
from policy.agent import Agent
from whatwhere.errors import BadInput
right = {"name_or_folder": "pick_at_xy/cnn_keypoints", "device": torch.device("cpu")}
wrong = {"name_or_folder": [None, 3, b"pick_at_xy/cnn_keypoints", ["pick_at_xy"], 1.5], "device": [None, 3.5, ["cpu"], "meta"],
         "execute": [2.0, "2", [1]], "ensemble": ["0", [0.1]], "inference": [None, 3, b"plain"]}
for option, values in wrong.items():
    for value in values:
        try:
            Agent.from_pretrained(**{**right, option: value})
        except BadInput as error:
            print(option, repr(value), "refused" if "\\n" not in str(error) and "=" in str(error) else error)
"""


def test_values_of_other_types_are_one_line_each() -> None:
    done = subprocess.run([sys.executable, "-c", WRONG_TYPES], cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 17 and all(line.endswith(" refused") for line in lines), done.stdout


def test_a_policy_of_the_future_cannot_act() -> None:
    with pytest.raises(BadInput, match="change=future"):
        Agent(build(config(change="future")), {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)})
