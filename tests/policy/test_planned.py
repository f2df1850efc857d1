"""A planner over an inverse model: what each is told, that neither sees what it must not, kills, refusals, and which part of each policy comes from where."""

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
from policy.finetune import main as finetune
from policy.heads.planned import CODE, Planned
from policy.model import build
from policy.probing.desired_change import measure
from policy.probing.desired_settings import Settings as Desired
from policy.storage import checkpoint
from policy.training import loop as training
from policy.training.cache import token_cache
from policy.training.dataset import load_demos
from tests.policy.small import config, inputs
from tests.policy.test_finetune import episode, settings, write_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demos(tmp_path_factory.mktemp("demos"))


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another task; the second episode failed."""
    folder = tmp_path_factory.mktemp("play")
    for i, steps in enumerate((8, 12)):
        one = episode(steps, 50 + i, task="stack_centered", env_name="StackCentered")
        one.success = i == 0
        write_episode(folder / f"episode_{i}.hdf5", one)
    return folder


@pytest.fixture(scope="module")
def inverse(play: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(settings(play, tmp_path_factory.mktemp("made") / "inverse", task="stack_centered", num_demos=2, **FUTURE))


FUTURE: dict[str, Any] = {"head": "planned", "change": "future", "mirror": "false"}
PLANNER: dict[str, Any] = {"head": "planned", "mirror": "false"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load(folder).policy.state_dict())


def test_an_inverse_model_sees_the_future_and_cannot_act(inverse: Path) -> None:
    loaded = checkpoint.load(inverse)
    assert loaded.policy.config.change == "future" and loaded.config["training"]["demonstrations"] == 2
    with pytest.raises(BadInput, match="needs frames of the future"):
        Agent.from_pretrained(inverse)


def test_its_code_is_of_the_change_alone() -> None:
    """Neither instruction nor proprio are in it, so that a change means the same in every task; proprio is told to the part that acts."""
    policy = build(config(head="planned", change="future")).eval()
    frames, proprio, task = inputs()
    head = policy.head
    assert isinstance(head, Planned)
    with torch.no_grad():
        seen = policy.look(frames)
        one, other = policy.read(seen, proprio, task).features, policy.read(seen, proprio + 1, -task).features
        assert torch.equal(head.code(one), head.code(other)) and head.code(one).shape == (3, CODE)
        assert not torch.equal(head(one), head(other))
        still = policy.look(frames[:, :, :1].expand_as(frames))
        assert not torch.equal(head.code(one), head.code(policy.read(still, proprio, task).features))


def test_tokens_of_the_future_are_those_of_its_pictures(demos: Path, tmp_path: Path) -> None:
    """From the cache, and from pictures: M of (t, t+k), P of t; the end of an episode stands for what comes after it."""
    data, policy = load_demos(demos, 3, 8), build(config(head="planned", change="future", ahead=4)).eval()
    assert policy.streams is not None
    later = data.ahead(4)
    assert later.tolist() == [4, 5, 5, 5, 5, 5, *(6 + t for t in (4, 5, 6, 7, 8, 8, 8, 8, 8)), *(15 + t for t in (4, 5, 6, 6, 6, 6, 6))]
    rows = np.array([0, 3, 8, 20])
    table = data.later(4, 2, far=0.5)
    assert table[0].tolist() == later.tolist() and (table[1] >= np.arange(len(data))).all() and (table[1] <= data.last).all()
    assert 0 < (table[1] != later).mean() < 0.6 and (data.later(4, 2, far=0.0) == later).all()
    cached = token_cache(tmp_path, policy.streams, "s", data, 2, 2, seed=0, later=table).tokens(np.zeros(4, int), rows)
    frames = torch.from_numpy(np.stack([data.frames[rows], data.frames[later[rows]]], axis=2))
    seen: Any = policy.look(frames)
    for name in ("m_cls", "m_patches", "p_cls", "p_patches"):
        torch.testing.assert_close(getattr(cached, name).float(), getattr(seen, name), atol=5e-3, rtol=5e-3)
    past = token_cache(tmp_path, policy.streams, "s", data, 2, 2, seed=0)
    assert not torch.equal(past.tokens(np.zeros(4, int), rows).m_cls, cached.m_cls)


def test_videos_alone_teach_a_planner(demos: Path, inverse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With actions=none the recorded actions change nothing, and the part that acts stays the inverse model's."""
    words = PLANNER | {"inverse": inverse, "actions": "none"}
    one = finetune(settings(demos, tmp_path / "one", **words))
    real = load_demos

    def silent(*args: Any, **kwargs: Any) -> Any:
        data = real(*args, **kwargs)
        data.chunks[:] = 0.77
        return data

    monkeypatch.setattr("policy.training.dataset.load_demos", silent)
    other = finetune(settings(demos, tmp_path / "other", **words))
    mine, theirs, below = weights(one), weights(other), weights(inverse)
    assert all(value.equal(theirs[name]) for name, value in mine.items())
    acting = [name for name in mine if name.startswith("head.act.")]
    assert acting and all(mine[name].equal(below[name]) for name in acting)
    assert not mine["head.say.1.weight"].equal(below["head.say.1.weight"])
    record = checkpoint.load(one).config["training"]
    assert record["actions_from"] == "2 of stack_centered" and record["inverse_sha256"] == checkpoint.verify(inverse).sha256
    assert {f"{50:016x}", f"{0:016x}"} < set(record["start_hashes"])


def test_of_some_the_actions_are_known(demos: Path, inverse: Path, tmp_path: Path) -> None:
    some = finetune(settings(demos, tmp_path / "some", **PLANNER, inverse=inverse, actions=1))
    assert checkpoint.load(some).config["training"]["actions_from"] == "2 of stack_centered, 1 of pick_at_xy"
    assert not weights(some)["head.act.act.1.weight"].equal(weights(inverse)["head.act.act.1.weight"])


def test_an_inverse_model_of_play_says_so(demos: Path, tmp_path: Path) -> None:
    for i in range(2):
        one = episode(8, 50 + i, task="stack_centered", env_name="StackCentered", source="play")
        one.success = False
        write_episode(tmp_path / f"play/episode_{i}.hdf5", one)
    below = finetune(settings(tmp_path / "play", tmp_path / "inverse", task="stack_centered", num_demos=2, **FUTURE))
    record = checkpoint.load(below).config["training"]
    assert (record["demonstrations"], record["played"]) == (2, 2)
    over = finetune(settings(demos, tmp_path / "over", **PLANNER, inverse=below, actions=1))
    assert checkpoint.load(over).config["training"]["actions_from"] == "2 of play in stack_centered, 1 of pick_at_xy"
    with pytest.raises(BadInput, match="is play, which nobody is to imitate"):
        finetune(settings(tmp_path / "play", tmp_path / "policy", task="stack_centered", num_demos=2))


def test_without_an_inverse_model_one_is_learnt_first(demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / "out", **PLANNER, held_out=1, num_demos=2))
    record = checkpoint.load(out).config["training"]
    assert record["actions_from"] == "2 of pick_at_xy" and "inverse_sha256" not in record and record["held_out_error"] > 0
    below = checkpoint.load(out / "inverse")
    assert below.policy.config.change == "future" and below.normalisation["proprio"].to_dict() == checkpoint.load(out).normalisation["proprio"].to_dict()
    assert Agent.from_pretrained(out).config.ahead == 8


@pytest.mark.parametrize("when", [0, 1], ids=["in the inverse model", "in the planner"])
def test_a_run_that_was_killed_goes_on_to_the_bit(when: int, demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finetune(settings(demos, tmp_path / "whole", **PLANNER))
    save, seen = training.save_state, []

    def die(path: Path, step: int, *rest: Any) -> None:
        save(path, step, *rest)
        seen.append(step)
        if step == 8 and seen.count(8) == when + 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", die)
        with pytest.raises(KeyboardInterrupt):
            finetune(settings(demos, tmp_path / "broken", **PLANNER))
    again = finetune(settings(demos, tmp_path / "broken", **PLANNER))
    for part in (".", "inverse"):
        assert (whole / part / "model.safetensors").read_bytes() == (again / part / "model.safetensors").read_bytes()


def test_another_inverse_model_is_another_run(demos: Path, play: Path, inverse: Path, tmp_path: Path) -> None:
    words = PLANNER | {"inverse": inverse, "actions": "none"}
    finetune(settings(demos, tmp_path / "out", **words))
    other = finetune(settings(play, tmp_path / "other", task="stack_centered", num_demos=1, **FUTURE))
    with pytest.raises(BadInput, match="inverse"):
        finetune(settings(demos, tmp_path / "out", **words | {"inverse": other}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"head": "l1", "actions": "none"}, "actions=none: head=l1 has no planner; leave it out or use head=planned"),
        ({"head": "l1", "change": "future"}, "change=future: head=l1 has no planner"),
        ({"actions": "none"}, "actions=none: needs inverse=FOLDER"),
        ({"actions": 2}, "actions=2: needs inverse=FOLDER"),
        ({"actions": "some"}, "actions=some: "),
        ({"actions": 4, "inverse": "."}, "actions=4: needs one folder of demos, of which num_demos=3"),
        ({"change": "future", "inverse": "."}, r"inverse=\.: is for a planner"),
        ({"latency": 4, "history": "[moved]", "execute": 2}, "latency=4: head=planned cannot do that"),
        ({"unfreeze": "true"}, "unfreeze=true: head=planned cannot do that"),
        ({"streams_used": "m"}, "streams_used=m: head=planned cannot do that"),
        ({"ahead": 0}, "ahead=0"),
        ({"head": "binary", "far": 0.5}, "far=0.5: head=binary has no planner"),
        ({"change": "future", "join": "film", "language": "recurrent"}, "join=film: an inverse model"),
    ],
)
def test_what_cannot_be_is_one_line(words: dict[str, Any], message: str, demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        settings(demos, tmp_path / "out", **PLANNER | words)
    assert "\n" not in str(caught.value)


def test_an_inverse_model_that_does_not_fit_is_one_line(demos: Path, inverse: Path, tmp_path: Path) -> None:
    words = PLANNER | {"inverse": inverse, "actions": "none"}
    with pytest.raises(BadInput, match="chunk=8, but this policy needs 4"):
        finetune(settings(demos, tmp_path / "out", **words, chunk=4))
    with pytest.raises(BadInput, match="ahead=8, but this policy needs 16"):
        finetune(settings(demos, tmp_path / "out", **words, ahead=16))
    policy = finetune(settings(demos, tmp_path / "policy", encoder="cnn_avg"))
    with pytest.raises(BadInput, match="is a policy, not an inverse model"):
        finetune(settings(demos, tmp_path / "out", **words | {"inverse": policy}))
    assert not (tmp_path / "out").exists()


def test_policies_of_other_heads_say_nothing_new(demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / "out", encoder="cnn_avg"))
    assert not {"change", "inverse", "actions", "ahead", "far"} & set(json.loads((out / "training.json").read_text()))
    assert "ahead" not in json.loads((out / "config.json").read_text())["policy"] and "ahead" not in PolicyConfig().to_dict()


def test_an_inverse_model_learns_what_was_carried_out(tmp_path: Path) -> None:
    """Not what the teacher wished instead: that did not make the change."""
    for i in range(2):
        one = episode(8, i)
        one.executed_actions = np.roll(one.actions, 1, axis=0) * 0.5
        write_episode(tmp_path / f"demos/episode_{i}.hdf5", one)
    data = load_demos(tmp_path / "demos", 2, 3)
    assert np.array_equal(data.executed()[9], data.sent[9:12]) and np.array_equal(data.executed()[7], data.sent[[7, 7, 7]])
    assert not np.allclose(data.executed(), data.chunks)
    one = finetune(settings(tmp_path / "demos", tmp_path / "one", num_demos=2, **FUTURE))
    for i in range(2):
        other = episode(8, i)
        other.executed_actions, other.actions = np.roll(other.actions, 1, axis=0) * 0.5, np.zeros_like(other.actions)
        write_episode(tmp_path / f"others/episode_{i}.hdf5", other)
    two = finetune(settings(tmp_path / "others", tmp_path / "two", num_demos=2, **FUTURE))
    mine, theirs = weights(one), weights(two)
    assert all(value.equal(theirs[name]) for name, value in mine.items())


def test_desired_and_real_change_are_compared(demos: Path, inverse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finetune(settings(demos, tmp_path / "policy", **PLANNER, num_demos=2, ahead=4))
    (found,) = measure(wanted(f"checkpoint={out}", f"demos={demos}", "held_out=1", f"out={tmp_path / 'desired'}"))
    assert json.loads((tmp_path / "desired/desired.json").read_text())["desired"] == [found]
    assert found["ahead"] == 4 and found["samples"] == 7 and list(found["cosine"]) == ["planner", "no change", "mean change"]
    assert all(-1 <= value < 0.999999 for value in found["cosine"].values()) and all(value > 0 for value in found["action_error"].values())
    assert "4 steps ahead" in capsys.readouterr().out
    with pytest.raises(BadInput, match="ahead=8, but this policy needs 4"):
        measure(wanted(f"checkpoint={out}", f"demos={demos}", f"inverse={inverse}", f"out={tmp_path / 'desired'}"))
    with pytest.raises(BadInput, match="has no planner; needs a policy of head=planned"):
        measure(wanted(f"checkpoint={inverse}", f"demos={demos}", f"out={tmp_path / 'desired'}"))
    with pytest.raises(BadInput, match="demos: missing"):
        wanted(f"checkpoint={out}")


def wanted(*words: str) -> Desired:
    return parse("policy.conf", "desired", Desired, list(words))
