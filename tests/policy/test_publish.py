"""A trained policy among the shipped ones: same weights, its own score, a manifest that finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy import publish
from policy.fusion.pixelwise import PixelwiseFusion
from policy.model import build, build_streams
from policy.storage import checkpoint
from policy.storage.stored import default_streams, find, read_manifest, write_manifest
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config
from whatwhere.errors import BadInput
from whatwhere.files import write_json

SUCCESS = {"rate": 0.5, "ci95": [0.1, 0.9]}
SCORE = {"seed": 200000, "episodes": 2, "success": SUCCESS, "position_error_cm": {"median": 1.0}, "relation_rate": None, "versions": {}}


def trained(folder: Path, task: str = "pick_at_xy") -> checkpoint.Checkpoint:
    normalisation = {"proprio": Affine.of(np.random.default_rng(0).normal(size=(9, PROPRIO))), "actions": Affine.identity(7)}
    checkpoint.save_pretrained(build(config(head="binary")), folder, task=task, normalisation=normalisation, training={"steps": 3})
    return checkpoint.load(folder)


def test_published_weights_are_the_evaluated_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(tmp_path / "made")
    write_json(tmp_path / "scored" / "results.json", SCORE | {"sha256": made.sha256})
    publish.main(publish.Settings(str(tmp_path / "made"), str(tmp_path / "scored"), None, str(tmp_path / "root")))
    monkeypatch.setenv("WHATWHERE_CHECKPOINTS", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    shipped = checkpoint.load(tmp_path / "root" / "pick_at_xy" / "pixelwise")
    assert shipped.sha256 == made.sha256
    assert shipped.config["score"]["success"]["rate"] == 0.5
    assert next(iter((tmp_path / "root" / "streams").iterdir())).name == made.config["streams_sha256"][:16]


def test_one_name_for_each_policy(tmp_path: Path) -> None:
    """Another head, or a policy of other conditions, does not take the place of the one that a task and an encoder stand for."""
    normalisation = {"proprio": Affine.of(np.random.default_rng(0).normal(size=(9, PROPRIO))), "actions": Affine.identity(7)}
    kinds: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({}, None),
        ({"head": "flow"}, None),
        ({}, "pixelwise_which"),
        ({"streams_used": "p"}, None),
        ({"latency": 4, "action_latency": 1}, None),
    )
    for number, (changes, name) in enumerate(kinds):
        made, scored, root = (str(tmp_path / part) for part in (f"made{number}", f"scored{number}", "root"))
        chosen = config(**({"head": "binary"} | changes))
        checkpoint.save_pretrained(build(chosen), Path(made), task="pick_at_xy", normalisation=normalisation, training={"steps": 3})
        write_json(Path(scored) / "results.json", SCORE | {"sha256": checkpoint.load(made).sha256})
        publish.main(publish.Settings(made, scored, None, root, name))
    assert sorted(path.name for path in (tmp_path / "root" / "pick_at_xy").iterdir()) == sorted(
        ["pixelwise", "pixelwise_flow", "pixelwise_which", "pixelwise_onlyp", "pixelwise_latency4_actions1"]
    )
    (tmp_path / "root/streams/0123/words").mkdir(parents=True)
    (tmp_path / "root/streams/0123/words/config.json").write_text("{}")  # an alignment of words is no streams
    write_manifest(tmp_path / "root")
    assert all(one["folder"].count("/") == 1 for one in read_manifest(tmp_path / "root")["streams"].values())
    assert 'from_pretrained("pick_at_xy/pixelwise_which")' in (tmp_path / "root/pick_at_xy/pixelwise_which/README.md").read_text()
    told = (tmp_path / "root/pick_at_xy/pixelwise_latency4_actions1/README.md").read_text()
    assert "pictures that are 4 control steps late. Its actions are carried out 1 control step late." in told
    assert "late" not in (tmp_path / "root/pick_at_xy/pixelwise/README.md").read_text()
    assert read_manifest(tmp_path / "root")["defaults"] == {"pick_at_xy": {"pixelwise": "pick_at_xy/pixelwise"}}
    with pytest.raises(BadInput, match=r"name=\.\./x: unknown; valid: a name of letters"):
        publish.Settings(None, None, "streams", "root", "../x")


def test_the_only_policy_of_a_version_is_its_default_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normalisation = {"proprio": Affine.of(np.random.default_rng(0).normal(size=(9, PROPRIO))), "actions": Affine.identity(7)}
    root, training = tmp_path / "root", {"steps": 3, "task_version": "1"}
    for folder, encoder in (("pick_at_xy-v1/nearby", "all_patches_late"), ("pick_at_xy/pixelwise", "pixelwise"), ("pick_at_xy/avg_late", "avg_late")):
        named = dict(training) if "v1" in folder else {"steps": 3}
        checkpoint.save_pretrained(
            build(config(encoder=encoder, head="binary")), root / folder, task="pick_at_xy", normalisation=normalisation, training=named, streams_root=root
        )
    write_manifest(root)
    monkeypatch.setenv("WHATWHERE_CHECKPOINTS", str(root))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("policy.storage.stored.roots", lambda: [root])
    assert find("pick_at_xy", None, 1) == "pick_at_xy-v1/nearby"
    assert find("pick_at_xy") == "pick_at_xy/pixelwise"
    checkpoint.save_pretrained(
        build(config(head="binary")),
        tmp_path / "own/pick_at_xy/mine",
        task="pick_at_xy",
        normalisation=normalisation,
        training={},
        streams_root=tmp_path / "own",
    )
    write_manifest(tmp_path / "own")
    monkeypatch.setattr("policy.storage.stored.roots", lambda: [tmp_path / "own", root])
    assert find("pick_at_xy") == "pick_at_xy/pixelwise"  # one of another name does not take its place, though it is alone in its root
    with pytest.raises(BadInput, match=r"none here for task=pick_at_xy version=1 encoder=pixelwise; there are: pick_at_xy-v1/nearby, "):
        find("pick_at_xy", "pixelwise", 1)
    card = (root / "pick_at_xy-v1/nearby/README.md").read_text()
    checkpoint.save_pretrained(build(config(join="film", head="binary")), tmp_path / "read", task="pick_at_xy", normalisation=normalisation, training={})
    assert "Its instruction: language=bag_of_words join=film." in (tmp_path / "read/README.md").read_text()
    assert card.startswith("# pick_at_xy-v1 · all_patches_late\n") and 'from_pretrained("pick_at_xy-v1/nearby")' in card


def test_a_task_from_elsewhere_without_a_position_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trained(tmp_path / "made", "robosuite/Door")
    write_json(tmp_path / "scored" / "results.json", SCORE | {"sha256": made.sha256, "position_error_cm": {"median": None}})
    publish.main(publish.Settings(str(tmp_path / "made"), str(tmp_path / "scored"), None, str(tmp_path / "root")))
    monkeypatch.setenv("WHATWHERE_CHECKPOINTS", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    name = checkpoint.find("robosuite/Door", "pixelwise")
    assert name == "robosuite_Door/pixelwise" and checkpoint.load(name).sha256 == made.sha256
    card = (tmp_path / "root" / name / "README.md").read_text()
    assert "Success 0.500" in card and "position error" not in card


def test_a_score_of_other_weights_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "made")
    write_json(tmp_path / "scored" / "results.json", SCORE | {"sha256": "0" * 64})
    with pytest.raises(BadInput, match="the score of the weights 0000"):
        publish.main(publish.Settings(str(tmp_path / "made"), str(tmp_path / "scored"), None, str(tmp_path / "root")))


@pytest.mark.parametrize(("name", "value"), [("without", "m"), ("perturbation", "light"), ("trained_for", "latency=4")])
def test_a_score_under_other_conditions_is_refused(name: str, value: str, tmp_path: Path) -> None:
    made = trained(tmp_path / "made")
    write_json(tmp_path / "scored" / "results.json", SCORE | {"sha256": made.sha256, name: value})
    with pytest.raises(BadInput, match=f"under other conditions than the policy's own \\({name}={value}\\)"):
        publish.main(publish.Settings(str(tmp_path / "made"), str(tmp_path / "scored"), None, str(tmp_path / "root")))


def test_streams_alone_become_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside policies over other streams, which stay as they are; their fusion and their card come along."""
    made = trained(tmp_path / "made")
    write_json(tmp_path / "scored" / "results.json", SCORE | {"sha256": made.sha256})
    publish.main(publish.Settings(str(tmp_path / "made"), str(tmp_path / "scored"), None, str(tmp_path / "root")))
    sizes = config()
    torch.manual_seed(1)
    streams = build_streams(sizes)
    fusion = PixelwiseFusion(streams.dim, streams.grid, "linear", "linear", "separate")
    digest = checkpoint.save_streams(streams, tmp_path / "run", sizes, {"settings": {"steps": 7, "batch": 3}}, fusion)
    publish.main(publish.Settings(None, None, str(tmp_path / "run" / "streams" / digest[:16]), str(tmp_path / "root")))
    monkeypatch.setenv("WHATWHERE_CHECKPOINTS", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    assert default_streams().name == digest[:16] != made.config["streams_sha256"][:16]
    assert checkpoint.load_fusion(default_streams(), streams.grid) is not None
    assert "7 steps of 3 pairs" in (default_streams() / "README.md").read_text()
    assert checkpoint.load(tmp_path / "root" / "pick_at_xy" / "pixelwise").sha256 == made.sha256
