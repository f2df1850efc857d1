"""Where words and patches attend: the weights are those that the joins use, rows sum to one, padding gets none, and a word finds its patch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from policy.agent import Agent
from policy.attention import HEADS, Attention, Layer
from policy.joins import ATTENDING, JOINS
from policy.joins.cross_attention import CrossAttention
from policy.joins.join import Join, Sizes
from policy.joins.points import Points
from policy.joins.transformer import between
from policy.language.vocabulary import vocabulary_of
from policy.model import Policy, build
from policy.shapes import Attended, Tokens, Words, cell_centres
from policy.transforms import Affine
from policy.word_attention import on_grid
from tests.policy.small import PROPRIO, awake, config, inputs, observation
from tests.policy.tiny_bert import tiny_bert
from whatwhere.named import named

ATTEND = {"cross_attention": 1, "averaged": 1, "transformer": 2, "hierarchical": 2, "points": 1}  # how many times
SAID = "pick up the red cube"
SIZES = Sizes(dim=16, grid=(2, 3), num_pooled=1, num_grids=1, words_dim=8, width=16, keypoints=5)
NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}


def given(b: int = 2, present: tuple[int, ...] = (4, 3)) -> tuple[Tokens, Words]:
    """Random tokens, one of them without a place, and words of which the first so many are present."""
    mask = torch.arange(5)[None] < torch.tensor(present)[:, None]
    return Tokens(torch.randn(b, 7, 16), cell_centres((2, 3))), Words(torch.randn(b, 5, 8), mask, torch.randn(b, 8))


def policy_with(join: str, encoder: str = "pixelwise", language: str = "recurrent") -> Policy:
    torch.manual_seed(0)
    words: dict[str, Any] = {"language": language, "task_dim": 16, "vocabulary": vocabulary_of([SAID])} if language != "bag_of_words" else {}
    return awake(build(config(encoder, join=join, head_parameters=1_500_000, **words))).eval()


def with_everything(join: str) -> Join:
    torch.manual_seed(0)
    return named("join", join, JOINS)(SIZES).eval()


def test_weights_are_those_that_attention_uses() -> None:
    torch.manual_seed(0)
    attention, x, others = Attention(16, 8), torch.randn(2, 3, 16), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    weights = attention.weights(x, others, mask)
    assert weights.shape == (2, 3, 5) and torch.equal(weights[1][:, [2, 4]], torch.zeros(3, 2))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    with torch.no_grad():  # where all heads have the same values and are added up alike, the output is that of their mean weights
        attention.leave.weight[:] = attention.leave.weight[:, :4].repeat(1, HEADS)
        attention.tell.weight[16:] = attention.tell.weight[16:20].repeat(HEADS, 1)
        attention.tell.bias[16:] = attention.tell.bias[16:20].repeat(HEADS)
        values = attention.tell(others)[..., 16:]
        torch.testing.assert_close(attention(x, others, mask), attention.leave(weights @ values))


def test_who_attends() -> None:
    assert set(ATTENDING) == set(ATTEND)
    for name in JOINS:
        told = with_everything(name).attended(*given(), torch.randn(2, 5, 6).softmax(-1))
        assert len(told) == ATTEND.get(name, 0), name


@pytest.mark.parametrize("join", ATTEND)
def test_rows_sum_to_one_and_padding_gets_nothing(join: str) -> None:
    tokens, words = given()
    looked = torch.randn(2, 5, 6).softmax(-1)
    told = with_everything(join).attended(tokens, words, looked)
    assert len(told) == ATTEND[join]
    for one in told:
        assert one.of_words.shape == (2, 5, 7) and one.of_tokens.shape == (2, 7, 5) and min(one.of_words.min(), one.of_tokens.min()) >= 0
        assert torch.equal(one.of_words[~words.mask], torch.zeros(3, 7)), "padding looks at nothing"
        assert torch.equal(one.of_tokens.transpose(1, 2)[~words.mask], torch.zeros(3, 7)), "and nothing looks at it"
    whole = told[0]
    if join != "transformer":
        torch.testing.assert_close(whole.of_words.sum(-1), words.mask.float())
        torch.testing.assert_close(whole.of_tokens.sum(-1)[:, 1:], torch.ones(2, 6))
    if join in ("transformer", "hierarchical"):  # in one sequence a part goes to the own side
        assert 0 < told[-1].of_words.sum(-1)[words.mask].min() and told[-1].of_words.sum(-1).max() < 1 and told[-1].of_tokens.sum(-1).max() < 1


def test_in_a_sequence_the_rest_stays_on_the_own_side() -> None:
    torch.manual_seed(0)
    _, words = given()
    layer, x, there = Layer(16), torch.randn(2, 12, 16), torch.cat([torch.ones(2, 7, dtype=torch.bool), words.mask], 1)
    told, weights = between(layer, x, there, words), layer.weights(x, there)
    torch.testing.assert_close(told.of_tokens.sum(-1) + weights[:, :7, :7].sum(-1), torch.ones(2, 7))
    torch.testing.assert_close((told.of_words.sum(-1) + weights[:, 7:, 7:].sum(-1))[words.mask], torch.ones(7))


def test_a_word_attends_to_the_patch_that_fits_it_and_the_patch_to_the_word() -> None:
    """Word 2 and the last patch say one thing, all other words and patches another; the join looks for what is the same."""
    join, sign = CrossAttention(SIZES), torch.tensor([1.0, -1.0])
    tokens = Tokens(sign.repeat(1, 7, 8), cell_centres((2, 3)))  # (1, 7, 16)
    words = Words(sign.repeat(1, 5, 4), torch.tensor([[True, True, True, True, False]]), torch.zeros(1, 8))
    tokens.values[0, 6] *= -1
    words.embeddings[0, 2] *= -1
    with torch.no_grad():
        for weight in join.both.parameters():
            if weight.ndim == 2:
                weight.zero_()
        both: Any = join.both
        both.see[1].weight.copy_(torch.eye(16))
        both.hear[1].weight.copy_(torch.eye(8).repeat(2, 1))
        for layer in join.both.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.bias.zero_()
        for look in (join.both.words_look, join.both.tokens_look):
            look.ask.weight.copy_(4 * torch.eye(16))
            look.tell.weight[:16] = 4 * torch.eye(16)
        found = on_grid([join.attended(tokens, words, None)], tuple("abcd_"), (2, 3), 1)
    assert found.of_words.shape == found.of_patches.shape == (1, 5, 2, 3)
    fits, other, padding = found.of_words[0, 2], found.of_words[0, 0], found.of_words[0, 4]
    np.testing.assert_allclose(fits, [[0, 0, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(other, np.array([[1, 1, 1], [1, 1, 0]]) / 6, atol=1e-6)  # the sixth part goes to the token without a place
    np.testing.assert_array_equal(padding, 0)
    np.testing.assert_allclose(found.of_patches[0, :, 1, 2], [0, 0, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.of_patches[0, :, 0, 0], [1 / 3, 1 / 3, 0, 1 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found.heard[0], [5 / 18, 5 / 18, 1 / 6, 5 / 18, 0], atol=1e-6)
    np.testing.assert_allclose(found.to_even()[0, 2], [[0, 0, 0], [0, 0, 6]], atol=1e-5)


def test_words_reach_patches_by_way_of_keypoints() -> None:
    """Keypoint 0 listens to word 1 and looks at patch 4, all others to word 0 and at patch 2."""
    join = with_everything("points")
    assert isinstance(join, Points)
    tokens, words = given(1, (2,))
    listened, looked = torch.zeros(1, 5, 5), torch.zeros(1, 5, 6)
    listened[0, 0, 1] = listened[0, 1:, 0] = looked[0, 0, 4] = looked[0, 1:, 2] = 1
    join.listen.weights = lambda *_: listened  # type: ignore[method-assign]
    (told,) = join.attended(tokens, words, looked)
    assert told.of_words.nonzero().tolist() == [[0, 0, 3], [0, 1, 5]], "the token without a place comes first"
    assert told.of_tokens.nonzero().tolist() == [[0, 3, 0], [0, 5, 1]]
    assert set(told.of_words.unique().tolist()) == set(told.of_tokens.unique().tolist()) == {0, 1}


def test_two_tokens_of_a_patch_and_two_places_in_a_join() -> None:
    """Tokens: one without a place, M's two patches, P's two; one word and another."""
    first = Attended(torch.tensor([[[0.2, 0.1, 0.3, 0.4, 0.0], [1, 0, 0, 0, 0]]]), torch.tensor([[[1, 0], [0.5, 0.5], [1, 0], [0.1, 0.9], [0, 1]]]))
    second = Attended(torch.zeros(1, 2, 5), torch.zeros(1, 5, 2))
    found = on_grid([[first, second]], ("a", "b"), (1, 2), 2)
    np.testing.assert_allclose(found.of_words[0, :, 0], np.array([[0.5, 0.3], [0, 0]]) / 2)
    np.testing.assert_allclose(found.of_patches[0, :, 0], np.array([[0.3, 0.5], [0.7, 0.5]]) / 2)
    np.testing.assert_array_equal(found.to_even()[0, 1], 0)


@pytest.mark.parametrize("join", ATTEND)
def test_telling_changes_no_answer(join: str) -> None:
    policy = policy_with(join)
    frames, proprio, _ = inputs(2)
    task = torch.stack([policy.language.code(text) for text in (SAID, "cube")])
    with torch.no_grad():
        before = policy(frames, proprio, task)
        with policy.attending() as told:
            during = policy(frames, proprio, task)
        assert torch.equal(before, during) and torch.equal(before, policy(frames, proprio, task))
        again = policy.attended(policy.look(frames), task)
    assert [len(camera) for camera in told] == [ATTEND[join]] * 2
    for one, other in zip(told, again, strict=True):
        assert all(torch.equal(a.of_words, b.of_words) and torch.equal(a.of_tokens, b.of_tokens) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("join", JOINS)
def test_nothing_is_computed_where_nobody_asks(join: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_with(join)

    def weights(*_: Tensor) -> Tensor:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(Attention, "weights", weights)
    agent = Agent(policy, NORMALISATION)
    agent.act(observation())
    if policy.attends:
        with pytest.raises(AssertionError, match="nobody asked"):
            agent.word_attention()
    else:
        assert agent.word_attention() is None


@pytest.mark.parametrize("join", ATTEND)
@pytest.mark.parametrize("encoder", ["pixelwise", "all_patches_late", "cnn_keypoints", "avg_late"])
def test_an_agent_tells_where_its_last_answer_attended(encoder: str, join: str) -> None:
    agent = Agent(policy_with(join, encoder), NORMALISATION)
    assert agent.word_attention() is None, "nothing was asked yet"
    agent.act(observation())
    asked = agent.word_attention()
    if encoder == "avg_late":
        assert asked is None, "no token has a place"
        return
    rows, columns = agent.policy.encoder.grid
    assert asked is not None and asked.words == ("pick", "the", "red", "cube") and asked.of_words.shape == (2, 4, rows, columns) == asked.of_patches.shape
    if join != "transformer":
        sides = asked.of_patches.sum(1)
        assert sides.max() <= 1 + 1e-5 and (join == "hierarchical" or sides.min() >= 1 - 1e-5)
    if join == "points" or (encoder == "cnn_keypoints" and join != "transformer" and join != "hierarchical"):
        np.testing.assert_allclose(asked.of_words.sum((-2, -1)), 1, rtol=1e-4)
    np.testing.assert_array_equal(asked.of_words, agent.word_attention().of_words)  # type: ignore[union-attr]


def test_asking_does_not_change_what_follows() -> None:
    plain, asked = (Agent(policy_with("cross_attention"), NORMALISATION) for _ in range(2))
    for seed in range(3):
        np.testing.assert_array_equal(plain.act(observation(seed)), asked.act(observation(seed)))
        asked.word_attention()


def test_every_language_labels_its_words(request: pytest.FixtureRequest) -> None:
    bag = build(config()).language
    for text in ("pick up the red cube", "the red cube on the red cube", "", "pick up the purple ball"):
        words = bag(bag.code(text)[None])
        assert len(bag.labels(text)) == int(words.mask.sum())
    assert set(bag.labels("red cube red")) == {"red", "cube"} and bag.labels("") == ("",)
    assert not {"pick", "ball"} & set(bag.labels("pick ball")), "these cancel"
    numbered = policy_with("points").language
    assert numbered.labels("Pick up the RED cube!") == ("pick", "up", "the", "red", "cube") and numbered.labels("") == ("",)


def test_word_pieces_are_labelled(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    language = build(config(language="sentence", sentence_encoder=tiny_bert(tmp_path), sentence_dim=32)).language
    for text in (SAID, ""):
        assert len(language.labels(text)) == int(language(language.code(text)[None]).mask.sum())
    assert {"red", "cube"} <= set(language.labels(SAID))
