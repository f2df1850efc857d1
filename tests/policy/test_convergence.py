"""`policy.convergence`: steps of pre-training runs to a figure, and α of gates."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest

from policy.convergence import Settings, main, rises, steps_to
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def write_run(folder: Path, losses: list[float], **more: float) -> Path:
    folder.mkdir()
    rows: list[dict[str, Any]] = [{"step": 100 * (i + 1), "of": "held_out", "loss": loss, "prediction_db": 20 - loss} | more for i, loss in enumerate(losses)]
    (folder / "figures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [{"step": 20, "of": "training", "loss": 9.0}, *rows]))
    return folder


def settings(out: Path, *runs: Path, **changes: Any) -> Settings:
    words = [f"runs=[{','.join(map(str, runs))}]", f"out={out}", *(f"{key}={value}" for key, value in changes.items())]
    return parse("policy.conf", "convergence", Settings, words)


def told(out: Path) -> list[dict[str, str]]:
    with (out / "convergence.csv").open() as file:
        return list(csv.DictReader(file))


def test_steps_to_what_all_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = write_run(tmp_path / "linear", [5.0, 3.0, 2.0, 2.1])
    fast = write_run(tmp_path / "gating", [4.0, 1.5, 1.0], alpha_cls_video=0.7, alpha_cls_static=0.2)
    main(settings(tmp_path / "out", slow, fast))
    assert [(row["run"], row["steps_to_reach"], row["last"], row["video"], row["static"]) for row in told(tmp_path / "out")] == [
        (str(slow), "300", "2.1", "", ""),
        (str(fast), "200", "1.0", "0.7", "0.2"),
    ]
    assert "after 200 steps · last 1 · α on video 0.70 · α on static 0.20" in capsys.readouterr().out
    assert iio.imread(tmp_path / "out" / "convergence.png").shape[1] > 1200, "a panel for α"
    main(settings(tmp_path / "out", slow, fast, figure="held_out/prediction_db", reach=18.8))
    assert [row["steps_to_reach"] for row in told(tmp_path / "out")] == ["", "300"], "of dB more is better; the first never gets there"


def test_which_way_is_better() -> None:
    assert rises("held_out/prediction_db") and rises("probe/velocity_r2_M") and not rises("held_out/loss") and not rises("probe/xy_P_cm")
    assert (steps_to({200: 1.0, 100: 3.0}, 2.0, False), steps_to({100: 1.0}, 2.0, True)) == (200, None)


def test_refusals(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [1.0])
    with pytest.raises(BadInput, match=r"figure=held_out/los: not among the figures of .*run: held_out/loss, .*did you mean held_out/loss"):
        settings(tmp_path, run, figure="held_out/los")
    with pytest.raises(BadInput, match=r"no figures\.jsonl with figures in it"):
        settings(tmp_path, tmp_path)
    with pytest.raises(BadInput, match="figure=loss"):
        settings(tmp_path, run, figure="loss")
    with pytest.raises(BadInput, match="runs: missing"):
        parse("policy.conf", "convergence", Settings, [])
