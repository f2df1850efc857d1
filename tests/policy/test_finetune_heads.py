"""Training with each head: what is found in the demonstrations, interrupted runs, runs of earlier versions, refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from envs.demos.episodes import write_episode
from policy.finetune import main as finetune
from policy.heads import HEADS, WITH_BINARY
from policy.storage import checkpoint
from policy.training import loop as training
from policy.training.binary import binary_numbers
from policy.training.dataset import load_demos
from tests.policy.test_finetune import episode, interrupted, settings
from whatwhere.errors import BadInput


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes, in which the gripper's number is ±1."""
    folder = tmp_path_factory.mktemp("demos")
    for i, steps in enumerate((6, 9, 7, 8)):
        one = episode(steps, i)
        actions = one.actions.copy()
        actions[:, 6] = np.where(np.arange(steps) < 4, -1.0, 1.0)
        write_episode(folder / f"episode_{i}.hdf5", dataclasses.replace(one, actions=actions))
    return folder


def test_a_number_with_two_values_is_binary() -> None:
    actions = np.array([[0.5, -1, 0, 3], [0.25, 1, 0, 3], [0.5, 1, 1, 3], [0.5, -1, -1, 3]], np.float32)
    assert binary_numbers(actions) == ((0, 0.25, 0.5), (1, -1.0, 1.0))
    assert binary_numbers(actions[:1]) == ()


@pytest.mark.parametrize("head", HEADS)
def test_an_interrupted_run_ends_with_the_same_weights(head: str, demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, Any] = {"head": head, "m_dropout": 0.5, "held_out": 1, "num_demos": 3}
    whole = finetune(settings(demos, tmp_path / "whole", **words))
    with interrupted(monkeypatch):
        finetune(settings(demos, tmp_path / "broken", **words))
    again = finetune(settings(demos, tmp_path / "broken", **words))
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    one, other = (checkpoint.load(folder) for folder in (whole, again))
    assert one.config["training"]["held_out_error_by_number"] == other.config["training"]["held_out_error_by_number"]
    assert one.policy.config.head == head
    assert one.policy.config.binary == (((6, -1.0, 1.0),) if head in WITH_BINARY else ())
    actions = load_demos(demos, 3, 8).chunks[:, 0]
    spread = actions.std(axis=0) if one.policy.head.standardised else np.ones(7)
    np.testing.assert_allclose(one.normalisation["actions"].scale, spread, rtol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_the_held_out_error_is_that_of_the_actions_in_the_world(head: str, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finetune(settings(demos, tmp_path / "out", head=head, num_demos=3, held_out=1, encoder="cnn_avg"))
    told, truth = checkpoint.load(out).config["training"], load_demos(demos, 1, 8, after=load_demos(demos, 3, 8)).chunks[:, 0]
    assert 0 < told["held_out_error"] < 1.5 and 0 <= told["held_out_wrong_by_number"]["6"] <= 1
    if head == "binary":  # a wrong choice is off by 2
        assert told["held_out_error_by_number"][6] == pytest.approx(2 * told["held_out_wrong_by_number"]["6"], abs=1e-3)
    assert told["held_out_wrong_by_number"]["6"] * len(truth) == pytest.approx(round(told["held_out_wrong_by_number"]["6"] * len(truth)), abs=1e-2)
    assert "share of wrong choices" in capsys.readouterr().out


def test_a_run_that_an_earlier_version_began_goes_on(demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It named no head, and its reader was a part of the head."""
    whole = finetune(settings(demos, tmp_path / "whole", head="l1"))
    save = training.save_state

    def die(path: Path, step: int, *rest: Any) -> None:
        save(path, step, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", die)
    with pytest.raises(KeyboardInterrupt):
        finetune(settings(demos, tmp_path / "broken", head="l1"))
    monkeypatch.setattr(training, "save_state", save)
    begun = json.loads((tmp_path / "broken/training.json").read_text())
    assert "head" not in begun
    state = tmp_path / "broken" / training.STATE
    tensors = {before(name): value for name, value in load_file(state).items()}
    assert any(".head.readers.0." in name for name in tensors)
    save_file(tensors, state, {"step": "4", "note": "{}"})
    again = finetune(settings(demos, tmp_path / "broken", head="l1"))
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_a_policy_of_an_earlier_version_loads(demos: Path, tmp_path: Path) -> None:
    out = finetune(settings(demos, tmp_path / "out", head="l1"))
    loaded = checkpoint.load(out).policy.state_dict()
    save_file({before(name): value for name, value in load_file(out / "model.safetensors").items()}, out / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    config["tensors"] = {before(name): shape for name, shape in config["tensors"].items()}
    config["policy"] |= {"head": "keypoints"}
    del config["policy"]["binary"], config["files"]["model.safetensors"]["bytes"]
    config["files"]["model.safetensors"]["sha256"] = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    (out / "config.json").write_text(json.dumps(config))
    again = checkpoint.load(out).policy
    assert again.config.head == "l1"
    assert all(loaded[name].equal(value) for name, value in again.state_dict().items())


def before(name: str) -> str:
    return name.replace("reader.cameras.", "head.readers.").replace("reader.proprio.", "head.proprio.")


def test_another_head_does_not_go_on_with_a_run(demos: Path, tmp_path: Path) -> None:
    finetune(settings(demos, tmp_path / "out", head="l1"))
    with pytest.raises(BadInput, match=r"other settings .head=None, now head='binary'"):
        finetune(settings(demos, tmp_path / "out", head="binary"))


def test_where_nothing_is_binary_no_number_is_chosen(tmp_path: Path) -> None:
    for i in range(3):
        write_episode(tmp_path / f"demos/episode_{i}.hdf5", episode(6, i))
    out = finetune(settings(tmp_path / "demos", tmp_path / "out", head="binary"))
    assert checkpoint.load(out).policy.config.binary == ()


@pytest.mark.parametrize("head", ["fow", "keypoints", "", "L1"])
def test_an_unknown_head_is_one_line(head: str, demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"head={head}: .*valid: l1, ") as caught:
        settings(demos, tmp_path / "out", head=head)
    assert "\n" not in str(caught.value)


def test_folders_are_named_after_heads(demos: Path) -> None:
    names = [dataclasses.replace(settings(demos, Path("x"), head=head), out=None).folder.name for head in ("l1", "binary")]
    assert names == ["pick_at_xy_pixelwise_l1_n3_s0", "pick_at_xy_pixelwise_n3_s0"]
