"""What colours lie where in a patch: named right, placed right, and told by tokens that have learnt to."""

from __future__ import annotations

import math

import pytest
import torch

from policy.pretrain.colour_words import AROUND, HUES, LITTLE, PARTS, WORDS, colour_words
from policy.pretrain.gradient_shares import gradient_share
from policy.pretrain.video_prediction import VideoPrediction
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput

SIZE, GRID = 32, (4, 4)
RED, YELLOW, GREEN, BLUE = (0.8, 0.1, 0.1), (0.8, 0.7, 0.1), (0.1, 0.7, 0.2), (0.1, 0.2, 0.9)


def words_of(picture):
    """(rows, columns, names, parts down, parts across)"""
    return colour_words(picture[None], GRID).reshape(*GRID, HUES + 1, PARTS, PARTS)


def test_a_square_is_named_and_placed():
    picture = torch.full((3, SIZE, SIZE), 0.6)
    picture[:, 8:12, 20:24] = torch.tensor(RED)[:, None, None]  # the right upper part of patch (1, 2)
    words = words_of(picture)
    all_of_it = AROUND / (1 + AROUND**2 * LITTLE)
    assert words[1, 2, 0].flatten().tolist() == pytest.approx([0, all_of_it, 0, 0])
    assert words[..., :HUES, :, :].sum() == pytest.approx(all_of_it), "grey has no hue"
    assert words[0, 0, HUES].mean() == pytest.approx(0.6)
    assert colour_words(picture[None], GRID).shape == (1, 16, WORDS)


@pytest.mark.parametrize("light", [0.4, 0.7, 1.0])
def test_names_bear_other_light(light):
    names = []
    for colour in (RED, YELLOW, GREEN, BLUE):
        picture = light * torch.tensor(colour)[:, None, None].expand(3, SIZE, SIZE)
        names.append(int(words_of(picture)[0, 0, :HUES].sum((1, 2)).argmax()))
    assert names == [0, 1, 3, 5]


def test_shares_of_half_a_square_sum_to_nearly_those_of_all_of_it():
    whole = torch.full((3, SIZE, SIZE), 0.6)
    whole[:, 8:16, 16:24] = torch.tensor(GREEN)[:, None, None]
    half = whole.clone()
    half[:, 12:16, 16:24] = 0.3
    sums = [words_of(picture)[:, :, 3].sum() for picture in (whole, half)]
    assert sums[1] / sums[0] == pytest.approx(1, abs=0.2), "of how much there is of it: 0.5"


def test_places_are_linear_in_words():
    """A red square of 4 pixels anywhere: its x is a linear function of the words, to a pixel."""
    torch.manual_seed(0)
    places = torch.randint(0, SIZE - 4, (400, 2))
    pictures = torch.full((400, 3, SIZE, SIZE), 0.6) * torch.rand(400, 1, 1, 1).clamp(min=0.5)
    for picture, (y, x) in zip(pictures, places.tolist(), strict=True):
        picture[:, y : y + 4, x : x + 4] = torch.tensor(RED)[:, None, None]
    features = torch.cat([colour_words(pictures, GRID).flatten(1), torch.ones(400, 1)], 1)
    fit = torch.linalg.lstsq(features[:300].T @ features[:300] + 1e-3 * torch.eye(features.shape[1]), features[:300].T @ places[:300].float()).solution
    assert (features[300:] @ fit - places[300:]).abs().median() < 1


def test_tokens_learn_to_tell_them():
    torch.manual_seed(0)
    streams = TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2)
    model = VideoPrediction(streams, blind=1.0, hidden=0.0, unknown=0.0, words=1.0)
    now, later = (torch.full((8, 3, SIZE, SIZE), 0.6) for _ in range(2))
    for i, colour in enumerate((RED, YELLOW, GREEN, BLUE) * 2):
        now[i, :, 4 : 4 + 6, 3 * i : 3 * i + 6] = torch.tensor(colour)[:, None, None]
        later[i, :, 20 : 20 + 6, 3 * i : 3 * i + 6] = torch.tensor(colour)[:, None, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(90):
        loss, figures, _ = model(now, later, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert figures["words_p"] < 0.5 and figures["words_fused"] < 0.5, "1 would be always predicting the mean"
    assert 0.1 < gradient_share(streams) < 0.9


def test_the_share_of_the_gradient():
    streams = TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2)
    assert math.isnan(gradient_share(streams)), "none yet"
    for weights in streams.encoder_p.parameters():
        weights.grad = torch.ones_like(weights)
    assert gradient_share(streams) == 1.0


def test_a_weight_below_nothing_is_refused():
    with pytest.raises(BadInput, match=r"objective.words=-1.0: must be at least 0"):
        VideoPrediction(TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2), words=-1.0)
