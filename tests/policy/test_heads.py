"""What every head promises, whichever it is: a walk over HEADS."""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from policy.agent import Agent
from policy.config import PolicyConfig
from policy.heads import HEADS
from policy.heads.decoder import Decoder, count
from policy.model import build
from policy.storage.checkpoint import load, save_pretrained
from policy.transforms import Affine
from tests.policy.small import PROPRIO, awake, config, inputs, observation
from whatwhere.errors import BadInput
from whatwhere.named import named

DIM, CHUNK, ACTION, BUDGET = 24, 4, 3, 60_000
BINARY = ((2, -1.0, 1.0),)
NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine(np.full(7, 0.1, np.float32), np.full(7, 0.5, np.float32))}
MULTIMODAL = ("mixture", "flow")  # those that claim that they answer with what was done, where it was now this and now that


def head(name: str, **changes: Any) -> Decoder:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"dim": DIM, "chunk": CHUNK, "action_dim": ACTION, "parameters": BUDGET, "binary": BINARY}
    return named("head", name, HEADS)(**(sizes | changes))


def noise_for(decoder: Decoder, b: int, seed: int = 0) -> Tensor | None:
    return torch.randn(b, decoder.noise, generator=torch.Generator().manual_seed(seed)) if decoder.noise else None


def answers(decoder: Decoder, features: Tensor, seed: int = 0) -> Tensor:
    with torch.no_grad():
        return decoder.eval()(features, noise_for(decoder, len(features), seed))


def taught(name: str, features: Tensor, actions: Tensor, steps: int, **changes: Any) -> tuple[Decoder, list[float]]:
    """A head that learnt a few chunks by heart (its average over the last steps, as in training), and its losses."""
    decoder = head(name, **changes)
    mask = torch.ones(actions.shape[:2], dtype=torch.bool)
    optimizer, losses, average = torch.optim.AdamW(decoder.parameters(), lr=2e-3, weight_decay=0.0), [], copy.deepcopy(decoder)
    for step in range(steps):
        torch.manual_seed(step)
        loss = decoder.loss(features, actions, mask)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 + math.cos(math.pi * step / steps)) / 2
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), decoder.parameters(), strict=True):
                slow.lerp_(fast, 1 - min(0.98, (1 + step) / (10 + step)))
    return average, losses


def few(count: int = 6) -> tuple[Tensor, Tensor]:
    """Features and chunks; the third number of an action is ±1."""
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(count, CHUNK, ACTION, generator=generator) * 1.6 - 0.8
    actions[..., 2] = actions[..., 2].sign()
    return torch.randn(count, DIM, generator=generator), actions


@pytest.mark.parametrize("name", HEADS)
def test_it_has_the_size_that_was_asked_for(name: str) -> None:
    for parameters in (20_000, BUDGET, 400_000):
        found = count(head(name, parameters=parameters))
        assert 0.95 * parameters <= found <= parameters
    with pytest.raises(BadInput, match="needs at least"):
        head(name, parameters=500)


@pytest.mark.parametrize("name", HEADS)
def test_shapes_and_a_batch_is_its_single_answers(name: str) -> None:
    decoder = head(name).eval()
    features, noise = torch.randn(5, DIM), noise_for(decoder, 5)
    together = answers(decoder, features)
    assert together.shape == (5, CHUNK, ACTION) and together.isfinite().all()
    with torch.no_grad():
        alone = torch.cat([decoder(features[i : i + 1], None if noise is None else noise[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_it_learns_a_few_chunks_by_heart(name: str) -> None:
    features, actions = few()
    decoder, losses = taught(name, features, actions, 400)
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    for seed in range(3):
        error = (answers(decoder, features, seed) - actions)[:, 0].abs()
        assert error.mean() < 0.06, error


@pytest.mark.parametrize("name", HEADS)
def test_where_now_this_and_now_that_was_done(name: str) -> None:
    """The same features, 60 times one chunk and 40 times another: an answer is one of the two and not their mean; the median is the more frequent one."""
    features = torch.zeros(1, DIM).expand(100, -1)
    one, other = torch.full((CHUNK, ACTION), 0.6), torch.full((CHUNK, ACTION), -0.6)
    decoder, _ = taught(name, features, torch.stack([one] * 60 + [other] * 40), 400, binary=())
    told = torch.cat([answers(decoder, features, seed) for seed in range(2)])
    to_one, to_other = ((told - mode).abs().amax(dim=(1, 2)) for mode in (one, other))
    if name not in MULTIMODAL:
        assert to_one.max() < 0.15
        return
    near = torch.minimum(to_one, to_other) < 0.2
    assert near.float().mean() > 0.9
    assert 0.4 < (to_one < to_other).float().mean() < 0.8


@pytest.mark.parametrize("name", HEADS)
def test_what_lies_past_the_end_counts_nothing(name: str) -> None:
    decoder = head(name)
    features, actions = few()
    mask = torch.arange(CHUNK) < torch.tensor([[1], [2], [3], [4], [4], [4]])

    def loss(chunks: Tensor, valid: Tensor) -> float:
        torch.manual_seed(5)
        return decoder.loss(features, chunks, valid).item()

    other = torch.where(mask[..., None], actions, torch.tensor(77.0))
    assert loss(actions, mask) == loss(other, mask) != loss(actions, torch.ones_like(mask))
    assert loss(actions, torch.zeros_like(mask)) == 0


@pytest.mark.parametrize("name", HEADS)
def test_its_loss_in_bfloat16_is_nearly_the_same(name: str) -> None:
    decoder, (features, actions) = head(name), few()
    mask, losses = torch.ones(6, CHUNK, dtype=torch.bool), []
    for enabled in (False, True):
        torch.manual_seed(5)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            losses.append(decoder.loss(features, actions, mask))
    assert all(loss.dtype == torch.float32 for loss in losses)
    torch.testing.assert_close(*losses, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("name", HEADS)
def test_weights_that_are_no_numbers_give_a_loss_that_is_none(name: str) -> None:
    """And not an error: the loop says in one line where a training diverged."""
    features, actions = few()
    assert not head(name).loss(features * float("nan"), actions, torch.ones(6, CHUNK, dtype=torch.bool)).isfinite()


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_draws_says_so_and_needs_its_noise(name: str) -> None:
    policy = build(config(head=name)).eval()
    frames, proprio, task = inputs()
    if policy.head.noise:
        with pytest.raises(BadInput, match=f"noise: missing; head={name} needs {policy.head.noise} "):
            policy(frames, proprio, task)
        return
    state = torch.random.get_rng_state()
    with torch.no_grad():
        assert torch.equal(policy(frames, proprio, task), policy(frames, proprio, task))
    assert torch.equal(torch.random.get_rng_state(), state)


def agent(name: str) -> Agent:
    torch.manual_seed(0)
    policy = build(config(head=name, binary=((6, -1.0, 1.0),) if name == "binary" else ()))
    return Agent(awake(policy), NORMALISATION, execute=3)


def episode(one: Agent, seed: Any, queries: int = 4) -> np.ndarray:
    one.reset(seed)
    return np.stack([one.act(observation(number)) for number in range(queries)])


@pytest.mark.parametrize("name", HEADS)
def test_actions_are_a_function_of_seed_episode_and_query(name: str) -> None:
    """Whatever torch's own generator did before, in whichever agent, beside whatever else is running."""
    one, another = agent(name), agent(name)
    first = episode(one, (7, 0))
    torch.manual_seed(99)
    assert np.array_equal(episode(one, (7, 0)), first)
    assert np.array_equal(episode(another, (7, 0)), first)
    one.act(observation(3))
    assert np.array_equal(episode(one, [7, 0]), first)
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda a: episode(a, (7, 0)), [agent(name) for _ in range(3)]))
    assert all(np.array_equal(found, first) for found in several)
    draws = one.policy.head.noise > 0
    assert np.array_equal(episode(one, (7, 1)), first) is not draws
    assert np.array_equal(episode(one, 8), first) is not draws
    one.reset()
    same = [one.act(observation()) for _ in range(6)]
    assert all(np.array_equal(found, same[0]) for found in same) is not draws


@pytest.mark.parametrize("seed", [-1, [1, -2], True], ids=repr)
def test_a_seed_that_cannot_be_is_one_line(seed: Any) -> None:
    with pytest.raises(BadInput, match=r"seed=.*must be one or more whole numbers from 0"):
        agent("l1").reset(seed)


@pytest.mark.parametrize("name", HEADS)
def test_a_saved_policy_answers_alike_to_the_bit(name: str, tmp_path: Path) -> None:
    binary = ((1, -0.25, 0.5), (6, -1.0, 1.0)) if name == "binary" else ()
    policy = awake(build(config(head=name, binary=binary))).half().float().eval()  # weights are kept in fp16
    loaded = load(save_pretrained(policy, tmp_path, task="pick_at_xy", normalisation=NORMALISATION, training={}))
    assert loaded.policy.config == policy.config and loaded.policy.config.head == name
    frames, proprio, task = inputs()
    noise = noise_for(policy.head, 3)
    with torch.no_grad():
        assert torch.equal(policy(frames, proprio, task, noise=noise), loaded.policy(frames, proprio, task, noise=noise))


def test_binary_numbers_have_one_of_two_values() -> None:
    features, actions = few()
    actions[..., 0] = actions[..., 2] * 0.25 + 0.5  # 0.25 or 0.75
    decoder, _ = taught("binary", features, actions, 200, binary=((0, 0.25, 0.75), (2, -1.0, 1.0)))
    told = answers(decoder, torch.randn(50, DIM))
    assert set(told[..., 0].unique().tolist()) == {0.25, 0.75} and set(told[..., 2].unique().tolist()) == {-1.0, 1.0}
    assert len(told[..., 1].unique()) > 50
    assert torch.equal(answers(decoder, features)[:, 0, [0, 2]], actions[:, 0, [0, 2]])


def test_without_binary_numbers_it_is_l1() -> None:
    features, actions = few()
    mask = torch.ones(6, CHUNK, dtype=torch.bool)
    one, other = head("l1"), head("binary", binary=())
    assert torch.equal(answers(one, features), answers(other, features))
    assert torch.equal(one.loss(features, actions, mask), other.loss(features, actions, mask))


@pytest.mark.parametrize("name", HEADS)
def test_too_few_parameters_are_one_line(name: str) -> None:
    with pytest.raises(BadInput, match=r"head_parameters=1000: too few; 8 keypoints on 2 cameras take \d+: .* needs at least \d+") as caught:
        build(config(head=name, head_parameters=1000))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "fow"}, "head=fow: unknown; valid: l1, "),
        ({"head": "keypoints"}, "head=keypoints: unknown"),
        ({"binary": ((7, -1.0, 1.0),)}, r"binary=\[7\]: must be different numbers of an action, from 0 to 6"),
        ({"binary": ((6, -1.0, 1.0), (6, 0.0, 1.0))}, r"binary=\[6, 6\]: must be different"),
        ({"binary": ((6, 1.0, -1.0),)}, "each needs two values, the lower one first"),
        ({"binary": ((6, float("nan"), 1.0),)}, "each needs two values"),
    ],
)
def test_choices_that_cannot_be_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        PolicyConfig(**changes)


def test_files_of_earlier_versions_call_it_otherwise() -> None:
    values = PolicyConfig().to_dict() | {"head": "keypoints"}
    del values["binary"]
    assert PolicyConfig.from_dict(values) == PolicyConfig(head="l1")
    with pytest.raises(BadInput, match="head: "):
        PolicyConfig.from_dict(values | {"head": ["keypoints"]})
