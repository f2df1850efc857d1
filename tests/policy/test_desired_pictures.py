"""What a planner wants, as pictures: which recorded change is drawn, what is drawn of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from policy.pretrain import loop
from policy.pretrain.settings import Settings
from policy.probing.desired_pictures import Drawer, desired_pictures, nearest
from policy.training.dataset import load_demos
from tests.policy.pretrain.small_play import moving_squares
from tests.policy.test_finetune import write_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse

TINY = [
    "steps=2",
    "batch=4",
    "dim=64",
    "depth=1",
    "heads=2",
    "save_every=2",
    "validate_every=0",
    "device=cpu",
    "num_threads=1",
    "precision=fp32",
    "objective.blind=1",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    loop.pretrain(parse("policy.conf", "pretrain", Settings, [*TINY, f"data={moving_squares(folder)}", f"out={folder / 'out'}"]))
    return folder / "out"


def test_the_change_that_is_drawn_is_most_like_in_code_and_state() -> None:
    codes, states = torch.tensor([[0.0, 0], [1, 1], [0, 0]]), torch.tensor([[0.0], [0], [5]])
    found = nearest(torch.tensor([[0.1, 0], [0.9, 1], [0.1, 0]]), torch.tensor([[0.0], [0], [4.5]]), codes, states)
    assert found.tolist() == [0, 1, 2]


def test_what_is_wanted_stands_beside_what_happened(out: Path, tmp_path: Path) -> None:
    demos = write_demos(tmp_path / "demos")
    data = load_demos(demos, 2, 3)
    drawer = Drawer(str(out), data.frames.shape[2], torch.device("cpu"))
    shown: list[torch.Tensor] = []
    code, own = torch.randn(len(data), 4, generator=torch.Generator().manual_seed(0)), torch.zeros(len(data), 2)
    told = desired_pictures(drawer, data, data, 2, (code, own), code, (code, own), shown.append)
    assert list(told) == ["planner", "true code", "true change", "no change"] and told["planner"] == told["true code"] == pytest.approx(told["true change"])
    rows = len(np.flatnonzero((np.arange(len(data)) - data.first) % 2 == 0))
    size = data.frames.shape[2]
    assert shown[0].shape == (3, 4 * size, min(8, rows) * size)
    other = desired_pictures(drawer, data, data, 2, (code, own), code.roll(3, 0), (code, own), shown.append)
    assert other["true code"] == told["true code"] and other["no change"] == told["no change"] and other["planner"] != told["planner"]


def test_a_decoder_of_other_pictures_or_without_its_streams_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="draws 32 px, but the policy sees 96 px"):
        Drawer(str(out), 96, torch.device("cpu"))
    with pytest.raises(BadInput, match="the streams that it was taught over are not in"):
        Drawer(str(out / "decoder"), 32, torch.device("cpu"))
    with pytest.raises(BadInput, match=r"no decoder there; needs the OUT of python -m policy\.pretrain init=STREAMS frozen=true"):
        Drawer(str(tmp_path), 32, torch.device("cpu"))
