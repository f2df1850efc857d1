"""The probes: ridge against a plain solution, what a probe must find and what it must not, the command's tables and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.pretrain.colour_words import WORDS
from policy.probe import Settings, main
from policy.probing import measure, report
from policy.probing.collapse import collapse, collapsed_choices, entropies
from policy.probing.keypoints import keypoint_readout
from policy.probing.quick import QuickProbe
from policy.probing.rank import effective_rank
from policy.probing.ridge import STRENGTHS, gram, ridge
from policy.probing.scenes import read_scenes
from policy.probing.tokens import pixel_features, token_features, word_features
from policy.probing.xy import errors, guess, xy_probe
from policy.storage.checkpoint import save_streams
from policy.streams import TwoStreamEncoder
from tests.policy.small import SIZE, config
from whatwhere.command import parse
from whatwhere.errors import BadInput
from whatwhere.files import write_json

FIT, HELD_OUT, HEIGHT = 300, 60, 40.0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright square of 6 pixels on grey, where the label says; in the second camera it is seen in two scenes of three."""
    root = tmp_path_factory.mktemp("scenes") / "squares"
    rng, count = np.random.default_rng(0), FIT + HELD_OUT
    frames = rng.integers(90, 110, (count, 2, 2, SIZE, SIZE, 3)).astype(np.uint8)
    corner = rng.integers(0, SIZE - 6, (count, 2))
    step = rng.integers(0, 2, count)  # half of the squares move by a pixel
    for number, (column, row) in enumerate(corner):
        for moment in (0, 1):
            frames[number, :, moment, row : row + 6, column + moment * step[number] : column + moment * step[number] + 6] = rng.integers(180, 250, 3)
    places = np.zeros((count, 2, 3), np.float32)
    places[:, :, :2] = corner[:, None] / 100
    places[:, 1, 0] += step / 100
    visible = np.stack([np.full(count, 36), 36 * (np.arange(count) % 3 > 0)], axis=1)
    root.mkdir()
    np.save(root / "frames.npy", frames)
    np.savez(root / "labels.npz", target_pos_world=places, visible_pixels=visible)
    write_json(root / "index.json", {"kind": "scenes", "scenes": FIT, "held_out": HELD_OUT, "cameras": ["agentview", "hand"]})
    return root


def streams(seed: int = 0) -> TwoStreamEncoder:
    torch.manual_seed(seed)
    return TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2)


# ---- ridge


def test_ridge_is_the_plain_solution() -> None:
    """The dual, with an intercept, equals the normal equations; the left-out error equals leaving each row out in turn."""
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((80, 12)) @ rng.standard_normal((12, 20)), rng.standard_normal((20, 2))
    y = x @ weights + rng.standard_normal((80, 2)) + 7
    fit = ridge(gram(x[:60], x[60:]), y[:60])
    scale = np.square(x[:60] - x[:60].mean(axis=0)).sum() / 60

    def solve(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
        inside, mean = x[rows] - x[rows].mean(axis=0), y[rows].mean(axis=0)
        found = np.linalg.solve(inside.T @ inside + fit.strength * scale * np.eye(20), inside.T @ (y[rows] - mean))
        return (x[at] - x[rows].mean(axis=0)) @ found + mean

    every = np.arange(60)
    assert fit.strength in STRENGTHS
    assert np.allclose(fit.predicted, solve(every, np.arange(60, 80)), atol=1e-2)
    left = [solve(np.delete(every, row), np.array([row]))[0] - y[row] for row in every]
    assert fit.left_out_rmse == pytest.approx(np.sqrt(np.square(left).sum(axis=1).mean()), rel=0.02)


def test_rows_of_a_group_are_left_out_together() -> None:
    """Ten copies of each row: leaving out one tells nothing, leaving out all ten is leaving out the row."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((40, 60)), rng.standard_normal((40, 2))
    copies, group = np.repeat(x, 10, axis=0), np.repeat(np.arange(40), 10)
    fooled, right = (ridge(gram(copies, x), np.repeat(y, 10, axis=0), groups) for groups in (None, group))
    assert right.strength > 10 * fooled.strength
    plain = ridge(gram(x, x), y)
    assert right.left_out_rmse == pytest.approx(plain.left_out_rmse, rel=1e-2)


def test_ridge_shrinks_what_is_noise() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((200, 50)), rng.standard_normal((150, 2)) + 3
    fit = ridge(gram(x[:150], x[150:]), y)
    assert fit.strength >= 10
    assert np.abs(fit.predicted - y.mean(axis=0)).max() < 0.2


def test_sum_of_grams_is_features_side_by_side() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((30, 5)), rng.standard_normal((30, 9)) * 3
    both = gram(a[:20], a[20:]) + gram(b[:20], b[20:])
    scaled = [part / np.sqrt(np.square(part[:20] - part[:20].mean(axis=0)).sum()) for part in (a, b)]
    together = np.concatenate(scaled, axis=1)
    assert np.allclose(both.held_out, gram(together[:20], together[20:]).held_out, atol=1e-5)


def test_features_that_never_change_say_nothing() -> None:
    fit = ridge(gram(np.ones((20, 3)), np.ones((5, 3))), np.arange(40.0).reshape(20, 2))
    assert np.allclose(fit.predicted, [19, 20])


# ---- other read-outs


def test_keypoints_find_a_token_and_do_not_look_at_held_out_truth() -> None:
    rng = np.random.default_rng(0)
    cell = rng.integers(0, 64, 500)
    tokens = rng.standard_normal((500, 64, 8)).astype(np.float16) * 0.3
    tokens[np.arange(500), cell, 3] += 4
    wanted = np.stack([cell % 8, cell // 8], axis=1).astype(float)
    found = keypoint_readout((tokens,), wanted[:400], steps=300)
    assert np.median(np.linalg.norm(found - wanted[400:], axis=1)) < 0.3
    assert np.array_equal(found, keypoint_readout((tokens,), wanted[:400], steps=300))


def test_effective_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    assert effective_rank(torch.linalg.qr(torch.randn(64, 16, generator=generator))[0]) == pytest.approx(16, rel=0.01)
    assert effective_rank(torch.randn(200, 1, generator=generator) @ torch.ones(1, 16)) == pytest.approx(1, abs=0.05)


def test_collapse_is_noticed_and_healthy_tokens_are_not() -> None:
    x = torch.randn(16, 20, 64, generator=torch.Generator().manual_seed(0))
    place = x[:1].expand(16, -1, -1)
    assert collapse(x) is None
    assert "alike" in (collapse(torch.ones(16, 20, 64) + 0.01 * x, "P") or "")
    assert "depend on the picture" in (collapse(place + 0.1 * x) or "")
    assert "rank" in (collapse(x[:, :, :1] * torch.ones(64)) or "")
    assert "finite" in (collapse(x / 0) or "")
    with torch.no_grad():
        pictures = torch.rand(16, 5, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
        assert collapse(streams()(pictures[:, :4], pictures).p_patches) is None


def test_entropies_tell_the_two_collapses_of_choices() -> None:
    sharp = torch.eye(32)[torch.arange(64) % 32] * 50
    each, mean = entropies(sharp)
    assert each < 0.01
    assert mean == pytest.approx(np.log(32), rel=1e-3)
    assert collapsed_choices(sharp) is None
    assert "one is chosen" in (collapsed_choices(sharp[:1].expand(64, -1)) or "")
    assert "alike" in (collapsed_choices(torch.zeros(64, 32)) or "")


# ---- scenes and tokens


def test_scenes_are_split_and_cameras_see_what_they_see(scenes: Path) -> None:
    data = read_scenes(scenes, 100, 20)
    assert (len(data), data.num_fit) == (120, 100)
    hand = read_scenes(scenes, camera="hand")
    assert (hand.num_fit, len(hand)) == (200, 240)
    assert hand.digest != read_scenes(scenes).digest != data.digest
    assert errors(data.xy_cm[100:], data)["median_cm"] == 0
    assert 5 < float(guess(data)["median_cm"] or 0) < 20
    with pytest.raises(BadInput, match="has 300"):
        read_scenes(scenes, 301)
    with pytest.raises(BadInput, match="camera"):
        read_scenes(scenes, camera="agentvew")
    with pytest.raises(BadInput, match="no index"):
        read_scenes(scenes / "nothing")


def test_tokens_in_memory_and_on_disk_are_those_of_the_streams(scenes: Path, tmp_path: Path) -> None:
    frames, model = read_scenes(scenes, 20, 4).frames, streams()
    here, there = token_features(model, None, frames), token_features(model, None, frames, tmp_path, batch=7)
    assert model.training
    for stream, ways in here.items():
        for way, parts in ways.items():
            assert all(np.allclose(a, b, atol=2e-3) for a, b in zip(parts, there[stream][way], strict=True))
    later_changed = frames.copy()
    later_changed[:, 1] = 0
    changed = token_features(model, None, later_changed)
    assert np.array_equal(changed["P"]["patches"][0], here["P"]["patches"][0]), "P is of the earlier frame"
    assert not np.array_equal(changed["M"]["patches"][0], here["M"]["patches"][0])
    assert pixel_features(frames)["fused"]["patches"][1].min() < 0
    words = word_features(frames, model.grid)
    assert [words[name]["patches"][0].shape for name in ("P", "M", "fused")] == [(24, model.num_patches, k * WORDS) for k in (1, 1, 2)]
    assert word_features(later_changed, model.grid)["M"]["patches"][0].any()


def test_a_probe_finds_the_square_and_averages_do_not(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy.probing.keypoints.STEPS", 150)
    data = read_scenes(scenes)
    rows = {(row["streams"], row["read"]): row for row in xy_probe(token_features(streams(), None, data.frames), data)}
    chance = float(guess(data)["median_cm"] or 0)
    assert rows["P", "patches"]["median_cm"] < 0.35 * chance
    assert rows["P", "keypoints"]["median_cm"] < 0.35 * chance
    assert rows["P", "average"]["median_cm"] > rows["P", "patches"]["median_cm"]
    assert rows["M", "patches"]["median_moved_cm"] < 0.7 * chance
    assert set(rows) == {(stream, way) for stream in ("P", "M", "fused") for way in ("patches", "average", "CLS", "keypoints")}


def test_quick_probe_gives_figures_to_print(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy.probing.keypoints.STEPS", 5)
    probe, model = QuickProbe(scenes, 80, 20), streams()
    figures, wrong = probe(model)
    assert set(figures) == {"xy_P_cm", "xy_M_cm", "xy_fused_cm", "xy_keypoints_cm", "rank_P", "rank_M", "rank_fused"}
    assert all(np.isfinite(value) for value in figures.values())
    assert not wrong
    for weights in model.encoder_p.norm.parameters():
        torch.nn.init.zeros_(weights)
    assert [line.split(":")[0] for line in probe(model)[1]] == ["P"]


# ---- the command


def settings(scenes: Path, out: Path, **changes: Any) -> Settings:
    given = {"checkpoint": str(out / "run"), "scenes": str(scenes.parent), "train": 60, "held_out": 20, "out": str(out / "probe"), "cache": str(out / "cache")}
    given = given | {"num_threads": 1} | changes
    return parse("policy.conf", "probe", Settings, [f"{key}={json.dumps(value)}" for key, value in given.items()])


def test_command_writes_the_same_table_three_times(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("policy.probing.keypoints.STEPS", 5)
    save_streams(streams(), tmp_path / "run", config())
    main(settings(scenes, tmp_path))
    text = capsys.readouterr().out
    with (tmp_path / "probe" / "xy.csv").open() as file:
        rows = list(csv.DictReader(file))
    stored = json.loads((tmp_path / "probe" / "probe.json").read_text())
    assert {row["source"] for row in rows} == {"pre-trained", "untrained", "colour words", "pixels"}
    assert len(rows) == len(stored["xy"]) == 12 + 12 + 9 + 9
    assert float(rows[0]["median_cm"]) == stored["xy"][0]["median_cm"]
    for line in ("pre-trained fused", "untrained M", "pixels P", "fused patches: ", "of untrained streams'"):
        assert line in text
    assert (tmp_path / "probe" / "probe.txt").read_text().splitlines()[0] in text
    monkeypatch.setattr(measure, "_xy", lambda *_: pytest.fail("known figures are computed again"))
    main(settings(scenes, tmp_path))
    assert not list((tmp_path / "cache").glob(".tokens-*")), "tokens are cleared away"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"checkpoint": None}, "checkpoint: missing"),
        ({"checkpoint": "nowhere"}, "nowhere"),
        ({"tasks": "square"}, "squares"),
        ({"train": 5000}, "has 300"),
        ({"camera": "hnd"}, "hand"),
        ({"play": "nowhere"}, "envs.demos.play"),
        ({"holdout": 1.5}, "holdout"),
    ],
)
def test_refusals(scenes: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    save_streams(streams(), tmp_path / "run", config())
    with pytest.raises(BadInput, match=said):
        main(settings(scenes, tmp_path, **changes))


def test_scenes_of_another_size_are_refused(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="32 px"):
        main(settings(scenes, tmp_path, checkpoint="random"))


def test_columns_line_up() -> None:
    lines = report.aligned([("a", "bb"), ("ccc", "d")]).splitlines()
    assert lines == ["a    bb", "───  ──", "ccc   d"]
