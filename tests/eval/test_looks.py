"""`eval.looks`: policies side by side at the same moments, and the share of each stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from eval.benches.queries import untrained
from eval.looks import Settings, main
from eval.reports.looks import fused_share, shares_of
from policy.config import PolicyConfig
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def settings(out: Path, *checkpoints: object, **changes: Any) -> Settings:
    words = [f"{key}={value}" for key, value in changes.items()]
    return parse("eval.conf", "looks", Settings, [f"checkpoints=[{','.join(map(str, checkpoints))}]", "starts=1", "steps=6", f"out={out}", *words])


def test_policies_are_shown_and_measured_at_the_same_moments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(settings(tmp_path, "pick_at_xy/pixelwise", "pick_at_xy/avg_late", "pick_at_xy/cnn_keypoints"))
    told = {record["policy"]: record for record in json.loads((tmp_path / "looks.json").read_text())["records"]}
    assert list(told) == ["pixelwise", "avg_late", "cnn_keypoints"] and [record["task"] for record in told.values()] == ["pick_at_xy"] * 3
    for record in told.values():
        assert record["m"] + record["p"] == pytest.approx(1) and record["m"] > 0
        assert sum(record[name] for name in ("agentview", "robot0_eye_in_hand", "proprio", "instruction")) == pytest.approx(1)
    assert 0 < told["pixelwise"]["fused_m"] < 1 and "fused_m" not in told["avg_late"] and "fused_m" not in told["cnn_keypoints"]
    looks, shares = iio.imread(tmp_path / "looks.png"), iio.imread(tmp_path / "shares.png")
    assert looks.shape[0] > 900 and looks[..., :3].std() > 10 and shares[..., :3].std() > 10, "a row a policy"
    assert "pick_at_xy      pixelwise" in capsys.readouterr().out


@pytest.mark.parametrize("fusion", ["linear", "mlp", "cross_attention", "gating"])
def test_the_share_of_m_in_fused_patches(fusion: str) -> None:
    torch.manual_seed(0)
    agent = untrained(PolicyConfig(encoder="pixelwise", fusion=fusion, size=32))
    frames = np.random.default_rng(0).integers(0, 256, (2, 2, 32, 32, 3), dtype=np.uint8)
    agent.act({"frames": frames, "proprio": np.zeros(agent.config.proprio_dim, np.float32), "instruction": "pick up the red cube"})
    fuse: Any = agent.policy.encoder.fuse.patches
    if fusion in ("mlp", "cross_attention"):
        assert fused_share(agent) is None, "these do not tell"
        return
    with torch.no_grad():
        if fusion == "gating":
            fuse.gate.weight.zero_()
            fuse.gate.bias.fill_(float(np.log(3)))
            assert fused_share(agent) == pytest.approx(0.75)
        else:
            fuse.join.weight[:, fuse.join.weight.shape[0] :].zero_()
            assert fused_share(agent) == pytest.approx(1), "nothing comes from P"


def test_a_stream_that_is_not_seen_has_no_share() -> None:
    torch.manual_seed(0)
    agent = untrained(PolicyConfig(encoder="avg_late", streams_used="p", size=32))
    frames = np.random.default_rng(0).integers(0, 256, (2, 2, 32, 32, 3), dtype=np.uint8)
    agent.act({"frames": frames, "proprio": np.zeros(agent.config.proprio_dim, np.float32), "instruction": "pick up the red cube"})
    told = shares_of(agent)
    assert (told["m"], told["p"]) == (0, 1)


def saved(folder: Path, task: str = "pick_at_xy", version: str = "0", **chosen: Any) -> Path:
    made = PolicyConfig(encoder="cnn_avg", **chosen)
    identity = {"proprio": Affine.identity(made.own_dim), "actions": Affine.identity(7)}
    return save_pretrained(build(made), folder, task=task, normalisation=identity, training={"task_version": version, "rendering": "fast"})


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"latency": 2}, "latency=2; only policies that see the newest picture"),
        ({"memory": 10}, "memory=10; only"),
        ({"version": "1"}, "version 1; needs one of version 0 of pick_at_xy"),
        ({"task": "robosuite/Lift"}, "of robosuite/Lift"),
        ({"size": 64}, "another policy of pick_at_xy"),
    ],
)
def test_what_cannot_be_compared_is_refused(chosen: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        settings(tmp_path, "pick_at_xy/cnn_keypoints", saved(tmp_path / "odd", **chosen))


def test_rows_need_names_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is called cnn_keypoints too"):
        settings(tmp_path, "pick_at_xy/cnn_keypoints", "pick_at_xy/cnn_keypoints")
    with pytest.raises(BadInput, match="nowhere"):
        settings(tmp_path, "nowhere")
