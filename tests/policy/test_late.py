"""Policies for late pictures and late actions: what they learn from a recording, what an agent tells them, what their checkpoints say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.demos.episodes import write_episode
from policy.agent import Agent
from policy.config import PolicyConfig
from policy.encoders import ENCODERS
from policy.export import __main__ as export
from policy.finetune import check
from policy.finetune import main as finetune
from policy.history import names
from policy.late import PARTS
from policy.model import build
from policy.shapes import Prediction
from policy.storage import checkpoint
from policy.training import loop as training
from policy.training.dataset import Demos, load_demos
from policy.training.late import delayed
from policy.training.sampling import Samples
from policy.transforms import Affine
from tests.policy.small import PROPRIO, awake, config, observation
from tests.policy.test_export import needs
from tests.policy.test_finetune import episode, interrupted, settings
from whatwhere.errors import BadInput
from whatwhere.settings import parse

LENGTHS = (6, 9, 7)
LATE: dict[str, Any] = {"latency": 2, "action_latency": 1, "history": "[moved,actions,proprio]"}


def recorded(number: int) -> Any:
    """An episode whose executed actions are others than those that are learnt."""
    one = episode(LENGTHS[number], number)
    one.executed_actions = np.random.default_rng(100 + number).uniform(-1, 1, one.actions.shape).astype(np.float32)
    return one


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    for number in range(len(LENGTHS)):
        write_episode(folder / f"episode_{number}.hdf5", recorded(number))
    return folder


def same(one: Demos, other: Demos) -> None:
    for name in ("frames", "previous", "seen", "first", "last", "proprio", "own", "sent", "chunks", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.digest == other.digest


@pytest.mark.parametrize("latency", [0, 1, 3, 20])
def test_a_late_sample_sees_the_pictures_of_so_many_rows_earlier(demos: Path, latency: int) -> None:
    plain = load_demos(demos, 3, chunk=4)
    late = delayed(plain, latency)
    start = 0
    for number, length in enumerate(LENGTHS):
        frames = recorded(number).frames
        for t in range(length):
            row, then = start + t, max(t - latency, 0)
            np.testing.assert_array_equal(late.frames[late.seen[row]], frames[then])
            np.testing.assert_array_equal(late.frames[late.previous[late.seen[row]]], frames[max(then - 4, 0)])
        start += length
    for name in ("frames", "proprio", "own", "chunks", "valid"):
        np.testing.assert_array_equal(getattr(late, name), getattr(plain, name), err_msg=name)
    if latency == 0:
        same(late, plain)


def test_late_actions_are_learnt_from_rows_later_on(demos: Path) -> None:
    plain, late = load_demos(demos, 3, chunk=4), delayed(load_demos(demos, 3, chunk=6), action_latency=2)
    assert late.chunks.shape == plain.chunks.shape and late.valid.shape == plain.valid.shape
    for number, first in enumerate((0, 6, 15)):
        length = LENGTHS[number]
        np.testing.assert_array_equal(late.chunks[first : first + length - 2], plain.chunks[first + 2 : first + length])
        np.testing.assert_array_equal(late.valid[first : first + length - 2], plain.valid[first + 2 : first + length])
        assert not late.valid[first + length - 2 : first + length].any(), "nothing is known of what came after the end"
    np.testing.assert_array_equal(late.seen, plain.seen)


def test_what_the_robot_knows_of_itself(demos: Path) -> None:
    one = recorded(1)
    late = delayed(load_demos(demos, 3, chunk=5), 3, 1, PARTS)
    for t in range(9):
        now, then = one.proprio[t], one.proprio[max(t - 3, 0)]
        since = [one.executed_actions[min(row, 8)] if row >= 0 else np.zeros(7, np.float32) for row in range(t - 3, t + 1)]
        np.testing.assert_array_equal(late.own[6 + t], np.concatenate([now, then, now - then, *since]))


@pytest.mark.parametrize(("latency", "action_latency", "history", "execute"), [(3, 0, PARTS, 1), (4, 0, PARTS, 2), (2, 0, ("actions",), 4), (0, 0, (), 1)])
def test_an_agent_tells_what_was_learnt_from(demos: Path, latency: int, action_latency: int, history: tuple[str, ...], execute: int) -> None:
    """Two agents of one policy play a recording each, taking turns, twice: each remembers its own episode, and forgets it at its end."""
    late = delayed(load_demos(demos, 3, chunk=8), latency, action_latency, history)
    policy = build(config(latency=latency, action_latency=action_latency, history=history))
    normalisation = {"proprio": Affine.identity(policy.config.own_dim), "actions": Affine.identity(7)}
    agents = [Agent(policy, normalisation, execute=execute) for _ in range(2)]
    given: list[Any] = []
    for agent, number in zip(agents, (0, 1), strict=True):
        actions = np.concatenate([recorded(number).executed_actions, np.zeros((8, 7), np.float32)])

        def answer(frames: Any, own: Any, task: Any, noise: Any, agent: Agent = agent, actions: np.ndarray = actions) -> Any:
            given.append(own)
            t = execute * agent._queries
            return Prediction(torch.from_numpy(actions[t : t + 8])[None])

        agent._ask = answer
    for _ in range(2):
        for agent in agents:
            agent.reset()
        for t in range(0, 9, execute):
            for agent, number, first in zip(agents, (0, 1), (0, 6), strict=True):
                if t < LENGTHS[number]:
                    obs = observation() | {"proprio": recorded(number).proprio[t]}
                    assert np.array_equal(agent.inputs(obs)[1], agent.inputs(obs)[1]), "asking changes nothing"
                    agent.act(obs)
                    np.testing.assert_allclose(given[-1], late.own[first + t], atol=1e-6)
                    assert given[-1].shape == (policy.config.own_dim,)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_can_be_trained_for_it(encoder: str, demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / "late", encoder=encoder, steps=2, **LATE))
    told = json.loads((out / "config.json").read_text())["policy"]
    assert (told["latency"], told["action_latency"], told["history"]) == (2, 1, ["moved", "actions", "proprio"])
    agent = Agent.from_pretrained(out, "cpu")
    assert agent.config.own_dim == PROPRIO + 2 * PROPRIO + 3 * 7 == len(agent.normalisation["proprio"].shift)
    awake(agent.policy)
    acted = [agent.act(observation(seed)) for seed in (1, 1)]
    assert not np.array_equal(acted[0], acted[1]), "the second answer knows of the first"
    agent.reset()
    np.testing.assert_array_equal(agent.act(observation(1)), acted[0])


def test_without_latency_a_training_is_as_it_was(demos: Path, tmp_path: Path) -> None:
    """Neither its settings nor its checkpoint say anything new, so that runs and files of earlier versions go on; and the weights are the same."""
    out = finetune(settings(demos, tmp_path / "plain"))
    none = finetune(settings(demos, tmp_path / "none", latency=0, action_latency=0, history="[]"))
    assert (out / "model.safetensors").read_bytes() == (none / "model.safetensors").read_bytes()
    for path, told in ((out / "config.json", "policy"), (out / "training.json", None)):
        values = json.loads(path.read_text())
        assert not {"latency", "action_latency", "history"} & set(values[told] if told else values)
    assert PolicyConfig.from_dict(config().to_dict()) == config()
    assert PolicyConfig.from_dict(json.loads(json.dumps(config(latency=2, history=("moved",)).to_dict()))).history == ("moved",)


def test_every_latency_shares_one_cache_of_tokens(demos: Path, tmp_path: Path) -> None:
    for latency in (0, 1, 2):
        finetune(settings(demos, tmp_path / str(latency), latency=latency, steps=1))
    assert len(list((tmp_path / "cache").glob("*/index.json"))) == 1


def test_tokens_and_pictures_are_of_the_same_rows(demos: Path, tmp_path: Path) -> None:
    chosen = settings(demos, tmp_path / "out", shifts=1, **LATE)
    data, _ = check(chosen)
    policy = build(config(latency=2, action_latency=1, history=("moved", "actions", "proprio"))).eval()
    assert policy.streams is not None
    cache = training.token_cache(tmp_path / "cache", policy.streams, "these", data, 1, 4, seed=0)
    proprio, actions = Affine.of(data.own), Affine.identity(7)
    rows = np.array([1, 6, 7, 9, 20])
    samples = [Samples(chosen, data, proprio, actions, policy, kept, torch.device("cpu")) for kept in (cache, None)]
    cached, _ = samples[0]._from_cache(policy, rows, np.zeros(5, int))
    seen, _ = samples[1]._from_pictures(policy, rows, np.zeros((5, 2), int))
    torch.testing.assert_close(cached.p_patches, seen.p_patches, atol=5e-3, rtol=5e-3)  # type: ignore[union-attr]
    torch.testing.assert_close(cached.m_patches, seen.m_patches, atol=5e-3, rtol=5e-3)  # type: ignore[union-attr]


def test_an_interrupted_late_run_ends_with_the_same_weights(demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finetune(settings(demos, tmp_path / "whole", **LATE))
    with interrupted(monkeypatch):
        finetune(settings(demos, tmp_path / "broken", **LATE))
    with pytest.raises(BadInput, match="other settings"):
        finetune(settings(demos, tmp_path / "broken", **LATE | {"latency": 4}))
    again = finetune(settings(demos, tmp_path / "broken", **LATE))
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"latency": -1}, "latency=-1"),
        ({"latency": 101}, "latency=101"),
        ({"latency": 1.5}, "latency=1.5: needs a whole number"),
        ({"action_latency": 101}, "action_latency=101"),
        ({"history": "moved"}, "history=[moved]: nothing to tell where pictures are not late"),
        ({"history": "moved", "action_latency": 3}, "nothing to tell"),
        ({"history": "movd", "latency": 2}, "did you mean moved?"),
        ({"history": "[moved,moved]", "latency": 2}, "names one part twice"),
        ({"history": "moved", "latency": 4, "execute": 3}, "is asked every 1, 2, 4 control steps"),
    ],
)
def test_what_is_refused(demos: Path, tmp_path: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        settings(demos, tmp_path / "out", **words)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_agent_at_another_pace_is_refused() -> None:
    policy = build(config(latency=4, history=("moved",)))
    normalisation = {"proprio": Affine.identity(2 * PROPRIO), "actions": Affine.identity(7)}
    with pytest.raises(BadInput, match="execute=3: with latency=4"):
        Agent(policy, normalisation, execute=3)


@pytest.mark.parametrize("changes", [{"latency": -1}, {"history": ("then",), "latency": 1}, {"history": ("moved",)}, {"action_latency": 101}])
def test_a_config_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(changes))}="):
        config(**changes)


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_a_late_policy_leaves_with_its_history_among_its_inputs(to: str, demos: Path, tmp_path: Path) -> None:
    needs(to)
    torch.manual_seed(0)
    policy = awake(build(config("cnn_avg", latency=2, action_latency=1, history=PARTS)))
    normalisation = {"proprio": Affine.identity(policy.config.own_dim), "actions": Affine.identity(7)}
    place = checkpoint.save_pretrained(policy, tmp_path / "late", task="pick_at_xy", normalisation=normalisation, training={})
    words = [f"checkpoint={place}", f"to={to}", f"out={tmp_path / 'out'}", "observations=4"]
    export.main(parse("policy.conf", "export", export.Settings, words))
    (path,) = (tmp_path / "out").glob("*.json")
    about = json.loads(path.read_text())
    assert (about["latency"], about["action_latency"]) == (2, 1)
    assert about["inputs"]["proprio"]["shape"] == [1, 3 * PROPRIO + 3 * 7]
    assert len(about["inputs"]["proprio"]["numbers"]) == about["inputs"]["proprio"]["shape"][1]
    assert "2 steps late" in about["inputs"]["frames"]["meaning"] and about["check"]["largest_difference"] < 1e-4
    if to == "onnx":
        agents = [Agent.from_pretrained(place, "cpu", inference=way) for way in ("plain", tmp_path / "out/policy.onnx")]
        for seed in range(4):
            one, other = (agent.act(observation(seed)) for agent in agents)
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_numbers_have_names_in_their_order() -> None:
    told = names(config(latency=2, history=("actions", "moved"), action_dim=2), ["x"] * PROPRIO, ["left", "right"])
    assert told[PROPRIO : PROPRIO + 4] == [f"action given {ago} control steps ago, 0 before the first: {side}" for ago in (2, 1) for side in ("left", "right")]
    assert told[-1] == "x: now minus 2 control steps ago, when the newest picture was taken"
    assert len(told) == 2 * PROPRIO + 4
