"""`eval.gradients`: the table and the picture of trained policies and of strategies before training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest

from eval.gradients import Settings, main
from policy.finetune import main as finetune
from tests.policy.test_finetune import settings as training
from tests.policy.test_finetune import write_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demos(tmp_path_factory.mktemp("demos"))


@pytest.fixture(scope="module")
def policy(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(training(demos, tmp_path_factory.mktemp("policy") / "out", steps=2))


def settings(demos: Path, policy: Path, out: Path, **changes: Any) -> Settings:
    words = {"checkpoints": f"[{policy}]", "demos": demos, "num_demos": 2, "samples": 5, "out": out, "device": "cpu", "num_threads": 1} | changes
    return parse("eval.conf", "gradients", Settings, [f"{key}={value}" for key, value in words.items()])


def test_every_strategy_has_its_row_and_its_maps(demos: Path, policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(settings(demos, policy, tmp_path))
    told = {row["policy"]: row for row in json.loads((tmp_path / "gradients.json").read_text())["records"]}
    untrained = [f"{name}, before training" for name in ("pixelwise", "avg_late", "avg_early", "cls_alone", "all_patches_late")]
    assert list(told) == [f"{policy}, trained", *untrained]
    assert all(told[name]["entropy_p"] == pytest.approx(1, abs=1e-5) for name in untrained if name.startswith("avg"))
    assert [told["cls_alone, before training"][name] for name in ("patch", "m_share", "cls_share", "entropy_p")] == [0, None, 1, None]
    assert told["pixelwise, before training"]["entropy_p"] < 0.9999 and 0 < told[f"{policy}, trained"]["m_share"] < 1
    with (tmp_path / "gradients.csv").open() as file:
        assert [row["policy"] for row in csv.DictReader(file)] == list(told)
    assert iio.imread(tmp_path / "gradients.png").shape[0] > 500 and "means of 5 samples" in capsys.readouterr().out
    main(settings(demos, policy, tmp_path / "again", begin="false"))
    assert len(json.loads((tmp_path / "again" / "gradients.json").read_text())["records"]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"demos": "/nowhere"}, "demos=/nowhere: no such folder"),
        ({"checkpoints": "nowhere"}, "nowhere"),
        ({"num_demos": 9}, "num_demos=9 asks for more"),
        ({"checkpoints": "pick_at_xy/pixelwise"}, "pictures (2, 32, 32, 3)"),
        ({"checkpoints": "pick_at_xy/cnn_keypoints"}, "encoder=cnn_keypoints"),
    ],
)
def test_refusals(demos: Path, policy: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    given = {"demos": demos} | change
    with pytest.raises(BadInput) as refused:
        main(settings(given.pop("demos"), policy, tmp_path, **given))
    assert said in str(refused.value) and "\n" not in str(refused.value)
