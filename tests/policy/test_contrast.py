"""InfoNCE and the metrics of alignment against values computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from policy.aligning.alignment import near, share_of_cells
from policy.aligning.contrast import MOST_SCALE, Temperature, info_nce, symmetric
from policy.aligning.metrics import alignment, modality_gap
from policy.finetune import main as finetune
from policy.shapes import Tokens
from policy.storage.checkpoint import load
from policy.training.contrast import Contrast
from tests.policy.test_finetune import settings, write_demos


def test_two_pictures_and_two_texts() -> None:
    """cos 60° and cos 30°, scale 2: rows (2, √3), (√3, 2) of similarities."""
    pictures = torch.tensor([[1.0, 0.0], [math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    texts = torch.tensor([[1.0, 0.0], [math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    by_hand = math.log(1 + math.exp(math.sqrt(3) - 2))  # −log of e² / (e² + e^√3), the same in all four softmaxes
    assert symmetric(pictures, texts, torch.tensor(2.0)).item() == pytest.approx(by_hand, abs=1e-6)


def test_it_is_not_symmetric_in_its_two_halves_but_as_a_whole() -> None:
    scaled = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    rows = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2  # 0.3133, 2.1269
    columns = (math.log(1 + math.exp(1)) + math.log(2)) / 2
    eye = torch.eye(2)
    assert info_nce(scaled, eye).item() == pytest.approx(rows, abs=1e-6) and info_nce(scaled.T, eye).item() == pytest.approx(columns, abs=1e-6)


def test_shares_and_what_is_ignored() -> None:
    scaled = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    half = torch.tensor([[0.5, 0.5, 0.0]])
    assert info_nce(scaled, half).item() == pytest.approx(-(math.log(1 / 8) + math.log(2 / 8)) / 2, abs=1e-6)
    ignored = torch.tensor([[False, True, True]])  # what is wanted is never ignored
    assert info_nce(scaled, half, ignored).item() == pytest.approx(-(math.log(1 / 3) + math.log(2 / 3)) / 2, abs=1e-6)
    assert info_nce(scaled[:0], half[:0]).item() == 0


def test_texts_that_say_the_same_share_what_is_right() -> None:
    vectors = torch.eye(3)
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    loss = symmetric(vectors, vectors[[0, 0, 2]], torch.tensor(1.0), same)
    e = math.e
    to_texts = [-math.log(e / (2 * e + 1)), -math.log(1 / 3), -math.log(e / (2 + e))]
    to_pictures = [-(math.log(e / (e + 2)) + math.log(1 / (e + 2))) / 2] * 2 + [-math.log(e / (e + 2))]
    assert loss.item() == pytest.approx((sum(to_texts) / 3 + sum(to_pictures) / 3) / 2, abs=1e-6)


def test_the_temperature_is_learnt_and_bounded() -> None:
    temperature = Temperature()
    assert temperature().item() == pytest.approx(10.0)
    with torch.no_grad():
        temperature.log_scale.fill_(50.0)
    assert temperature().item() == pytest.approx(MOST_SCALE)


def test_places_become_shares_of_cells() -> None:
    shares = share_of_cells(torch.tensor([[[0.25, 0.5], [0.0, 1.0]]]), (2, 4))[0]  # cells' centres: x 1/8, 3/8, …; y 1/4, 3/4
    assert torch.allclose(shares[0], torch.tensor([0.25, 0.25, 0, 0, 0.25, 0.25, 0, 0]))
    assert shares[1].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert near(shares[None], (2, 4))[0, 1].tolist() == [1, 1, 0, 0, 1, 1, 0, 0]


def test_metrics_by_hand() -> None:
    pictures, texts = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.8, 0.6], [0.6, 0.8]])
    found = alignment(pictures, texts)
    assert found == {"among": 2, "chance": 0.5, "matched_similarity": 0.8, "mean_similarity": pytest.approx(0.7), "top1_text": 1.0, "top1_picture": 1.0}
    wrong = alignment(pictures, texts[::-1])
    assert wrong["top1_text"] == wrong["top1_picture"] == 0.0 and wrong["matched_similarity"] == pytest.approx(0.6)
    assert alignment(pictures, texts[::-1], np.ones((2, 2), bool))["top1_text"] == 1.0  # both texts say the same
    gap = modality_gap(np.array([[0.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 1.0], [3.0, 5.0]]))  # centroids (0, 1) and (3, 3); variances 1 and 4
    assert gap["gap"] == pytest.approx(math.sqrt(13)) and (gap["variance_pictures"], gap["variance_texts"], gap["variance_ratio"]) == (1.0, 4.0, 0.25)
    assert gap["gap_ratio"] == pytest.approx(math.sqrt(13 / 2.5))


def test_beside_a_policy_pictures_find_their_instruction() -> None:
    torch.manual_seed(0)
    loss = Contrast(tokens_dim=8, cameras=2, words_dim=4)
    cameras = [Tokens(torch.randn(3, 5, 8, requires_grad=True), torch.randn(5, 2)) for _ in range(2)]
    whole = torch.randn(3, 4, requires_grad=True)
    same = loss(cameras, whole, torch.ones(3, 3, dtype=torch.bool)).item()
    assert same >= math.log(3) - 1e-6, "where all are told the same, each is as right as any other"
    found = loss(cameras, whole, torch.eye(3, dtype=torch.bool))
    assert 0 < found.item() != same
    found.backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in (cameras[0].values, cameras[1].values, whole))


def test_a_training_with_it_keeps_the_policy_alone(tmp_path: Path) -> None:
    (tmp_path / "demos").mkdir()
    demos = write_demos(tmp_path / "demos")
    plain, beside = (load(finetune(settings(demos, tmp_path / f"out{weight}", steps=2, contrast=weight))) for weight in (0.0, 0.5))
    assert plain.policy.state_dict().keys() == beside.policy.state_dict().keys()
