"""Context memory: its state is an episode's own, its windows end where episodes do, and it is trained, saved and resumed like the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.export.__main__ import Settings as ExportSettings
from policy.export.__main__ import main as export
from policy.memory.recollection import Recollection
from policy.memory.windows import windows
from policy.model import Policy, build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.policy.small import config, observation, stirring
from whatwhere.command import parse
from whatwhere.errors import BadInput

NORMALISATION = {"proprio": Affine.identity(5), "actions": Affine.identity(7)}


def remembering(encoder: str = "cnn_keypoints", **changes: Any) -> Policy:
    torch.manual_seed(0)
    policy = stirring(build(config(encoder, head="l1", memory=4, **changes)))
    assert policy.memory is not None
    torch.nn.init.normal_(policy.memory.leave.weight, std=0.5)
    return policy.eval()


def played(agent: Agent, seeds: range) -> np.ndarray:
    agent.reset()
    return np.stack([agent.act(observation(seed)) for seed in seeds])


@pytest.mark.parametrize("execute", [1, 2, 4])
def test_two_interleaved_episodes_are_as_each_alone(execute: int) -> None:
    policy = remembering()
    one, other = (Agent(policy, NORMALISATION, execute=execute) for _ in range(2))
    alone = played(one, range(8)), played(other, range(20, 28))
    one.reset()
    other.reset()
    mixed = [(one.act(observation(step)), other.act(observation(20 + step))) for step in range(8)]
    for which in (0, 1):
        assert np.array_equal(np.stack([pair[which] for pair in mixed]), alone[which])
    assert np.array_equal(played(one, range(8)), alone[0]), "reset forgets"
    fresh = Agent(policy, NORMALISATION, execute=execute)
    assert not np.array_equal(fresh.act(observation(7)), alone[0][7]), "what came before matters"


def test_what_it_asks_again_changes_nothing() -> None:
    policy = remembering("pixelwise")
    agent, asked = Agent(policy, NORMALISATION), Agent(policy, NORMALISATION)
    for step in range(6):
        assert np.array_equal(agent.act(observation(step)), asked.act(observation(step)))
        told = asked.influence()
        assert told is not None and set(told) == {"m", "p"}


def test_moments_are_a_gap_apart_and_begin_with_the_episode() -> None:
    kept = Recollection(3, 4, 2)
    assert kept.past() is None
    for number in range(7):
        kept.add(torch.full((1, 1), float(number)))
        past = kept.past()
        assert past is not None and past.flatten().tolist() == [max(number + 1 - 4, 0), max(number + 1 - 2, 0)], "two queries are four control steps"
    kept.add(None)
    past = kept.past()
    assert past is not None and past.flatten().tolist() == [4, 6], "where it was not asked, what it knew stays"


def test_windows_stay_in_their_episode_and_are_what_an_agent_has() -> None:
    first = np.array([0] * 6 + [6] * 9)
    assert windows(np.array([0, 5, 6, 14]), first, 3, 4).tolist() == [[0, 0, 0], [0, 1, 5], [6, 6, 6], [6, 10, 14]]
    kept = Recollection(3, 4, 1)
    for row in range(6, 15):
        past = kept.past()
        moments = [row] * 2 if past is None else past.flatten().tolist()
        assert [*moments, row] == windows(np.array([row]), first, 3, 4)[0].tolist(), row
        kept.add(torch.full((1, 1), float(row)))


def test_save_and_load_are_bit_equal_and_no_memory_says_nothing(tmp_path: Path) -> None:
    policy = remembering()
    save_pretrained(policy, tmp_path / "kept", task="pick_at_xy", normalisation=NORMALISATION, training={"instruction": "pick the red cube"})
    loaded = Agent.from_pretrained(tmp_path / "kept", inference="plain")
    again = Agent.from_pretrained(tmp_path / "kept", inference="plain")
    assert loaded.config.memory == 4 and np.array_equal(played(loaded, range(6)), played(again, range(6)))
    assert all(torch.equal(a.half(), b.half()) for a, b in zip(policy.memory.parameters(), loaded.policy.memory.parameters(), strict=True))  # type: ignore[union-attr]
    assert "memory" not in config("cnn_avg").to_dict()
    with pytest.raises(BadInput, match=r"remembers \(memory=4\), which an exported file cannot"):
        export(parse("policy.conf", "export", ExportSettings, [f"checkpoint={tmp_path / 'kept'}", "to=onnx", f"out={tmp_path / 'file'}"]))


def test_gradients_reach_it_and_it_starts_as_if_it_remembered_nothing() -> None:
    torch.manual_seed(0)
    policy = build(config("cnn_keypoints", head="l1", memory=3))
    assert policy.memory is not None
    moments = torch.randn(2, 3, policy.reader.dim)
    assert torch.equal(policy.memory(moments), moments[:, -1])
    torch.nn.init.normal_(policy.memory.leave.weight)
    policy.memory(moments.requires_grad_()).sum().backward()
    assert moments.grad is not None and moments.grad[:, 0].abs().sum() > 0, "the oldest moment learns, too"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": 1}, "memory=1: must be 0"),
        ({"memory": 200}, "memory=200: must be 0"),
        ({"memory": 4, "execute": 3}, "execute=3: a policy with memory remembers every 4 control steps, so it is asked every 1, 2, 4"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        config("cnn_keypoints", **changes)
    if "execute" in changes:
        with pytest.raises(BadInput, match=message):
            Agent(remembering(), NORMALISATION, execute=3)
