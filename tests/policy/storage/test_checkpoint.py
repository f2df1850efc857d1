from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from policy.agent import Agent
from policy.encoders import ENCODERS
from policy.model import Policy, build
from policy.storage import stored
from policy.storage.checkpoint import find, load, load_streams, save_pretrained, save_streams, verify, write_manifest
from policy.storage.tensorfile import read_header
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config, inputs, observation
from whatwhere.errors import BadInput, Failed
from whatwhere.files import sha256

NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}


def save(policy: Policy, folder: Path, **options: Any) -> Path:
    return save_pretrained(policy, folder, task="pick_at_xy", normalisation=NORMALISATION, training={"steps": 10, "start_hashes": ["0" * 16]}, **options)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory and no other roots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WHATWHERE_CHECKPOINTS", raising=False)
    monkeypatch.setattr(stored, "roots", lambda: [root for root in (Path("checkpoints"),) if root.is_dir()])
    return tmp_path


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("frozen", [True, False])
def test_save_load_is_bit_equal_at_fp16(encoder: str, frozen: bool, home: Path) -> None:
    policy = build(config(encoder, frozen_streams=frozen)).eval()
    loaded = load(save(policy, home / "one"))
    for name, value in policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], value.half().float()), name
    assert loaded.policy.config == policy.config
    assert not loaded.policy.training
    again = load(save(loaded.policy, home / "two"))
    with torch.no_grad():
        assert torch.equal(again.policy(*inputs()), loaded.policy(*inputs()))
    assert sha256(home / "one/model.safetensors") == sha256(home / "two/model.safetensors") == again.sha256


def test_frozen_streams_are_stored_once(home: Path) -> None:
    root = home / "checkpoints"
    streams = build(config()).streams
    for encoder in ("pixelwise", "avg_late"):
        save(build(config(encoder), streams), root / "pick_at_xy" / encoder, streams_root=root)
    assert len(list((root / "streams").iterdir())) == 1
    write_manifest(root)
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["defaults"] == {"pick_at_xy": {"pixelwise": "pick_at_xy/pixelwise", "avg_late": "pick_at_xy/avg_late"}}
    assert find("pick_at_xy", "avg_late") == "pick_at_xy/avg_late"
    assert load("pick_at_xy/avg_late").policy.config.encoder == "avg_late"
    assert stored.default_streams() == Path("checkpoints/streams") / manifest["default_streams"][:16]
    assert Agent.from_pretrained("pick_at_xy/pixelwise", device="cpu").act(observation()).shape == (1, 7)
    with pytest.raises(BadInput, match=r"task=pick_at_xy encoder=cnn_avg; there are: pick_at_xy/avg_late, pick_at_xy/pixelwise"):
        find("pick_at_xy", "cnn_avg")
    with pytest.raises(BadInput, match=r"pick_at_xy/pixelwize: no such name.*did you mean pick_at_xy/pixelwise"):
        load("pick_at_xy/pixelwize")


def test_streams_alone(home: Path) -> None:
    policy = build(config()).eval()
    assert policy.streams is not None
    digest = save_streams(policy.streams, home, policy.config, {"objective": "none"})
    streams, record = load_streams(home / "streams" / digest[:16])
    assert record["sha256"] == digest
    assert save_streams(streams, home, policy.config) == digest  # rounded once, the same for ever
    for name, value in policy.streams.state_dict().items():
        assert torch.equal(streams.state_dict()[name], value.half().float())


def flip_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weight": [1.0]}))


def zipped(folder: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, folder / "model.safetensors")


def missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def other_shape(folder: Path) -> None:
    """A wrong tensor with a right sha256: as someone would who edits the file by hand."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["language.map.bias"] = torch.zeros(3, dtype=torch.float16)
    save_file(tensors, path)
    record = json.loads((folder / "config.json").read_text())
    record["files"]["model.safetensors"] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (folder / "config.json").write_text(json.dumps(record))


def other_config(folder: Path) -> None:
    edit(folder, lambda record: record["policy"].update(encoder="avg_late"))


def other_proprio(folder: Path) -> None:
    edit(folder, lambda record: record["normalisation"].update(proprio={"shift": [0.0], "scale": [1.0]}))


def other_format(folder: Path) -> None:
    edit(folder, lambda record: record.update(format=99))


def no_task(folder: Path) -> None:
    edit(folder, lambda record: record.pop("task"))


def not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def no_streams(folder: Path) -> None:
    shutil.rmtree(folder / "streams")


def bad_streams(folder: Path) -> None:
    flip_bit(next((folder / "streams").iterdir()))


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    record = json.loads((folder / "config.json").read_text())
    change(record)
    (folder / "config.json").write_text(json.dumps(record))


DAMAGE = [
    (flip_bit, r"model.safetensors: sha256 [0-9a-f]{16}…, needs"),
    (truncate, r"model.safetensors: \d+ bytes, its header needs \d+"),
    (empty, "not a safetensors file, or truncated"),
    (pickled, "model.safetensors: a pickle"),
    (zipped, "model.safetensors: a pickle"),
    (missing, "model.safetensors: missing"),
    (other_shape, r"tensor language.map.bias: found \[3\], needs \[16\]"),
    (other_config, r"model.safetensors: tensor .*: found"),
    (other_proprio, "normalisation.proprio: 1 numbers, needs 5"),
    (other_format, r"config.json: format: needs 1, the format that this version reads, found 99"),
    (no_task, "task: missing"),
    (not_json, "config.json: not JSON"),
    (no_streams, "needs the streams [0-9a-f]{16}, found in none of"),
    (bad_streams, "sha256"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_damage_is_refused_in_one_line(damage: Callable[[Path], None], message: str, home: Path) -> None:
    folder = save(build(config()), home / "policy")
    load(folder)
    damage(folder)
    with pytest.raises(BadInput, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_the_manifest_covers_the_config(home: Path) -> None:
    root = home / "checkpoints"
    folder = save(build(config("cnn_avg")), root / "pick_at_xy" / "cnn_avg")
    write_manifest(root)
    verify("pick_at_xy/cnn_avg")
    edit(folder, lambda record: record["normalisation"].update(actions=Affine(torch.ones(7).numpy(), torch.ones(7).numpy()).to_dict()))
    with pytest.raises(BadInput, match=r"config.json: .*manifest.json"):
        verify("pick_at_xy/cnn_avg")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_no_such_checkpoint(name: str, home: Path) -> None:
    with pytest.raises(BadInput, match=f"checkpoint={name}"):
        load(name)


def test_diverged_weights_are_not_saved(home: Path) -> None:
    policy = build(config("cnn_avg"))
    with torch.no_grad():
        policy.language.map.bias.fill_(1e6)
    with pytest.raises(Failed, match=r"language\.map\.bias: not finite in fp16"):
        save(policy, home / "policy")
    assert not (home / "policy").exists()


def test_lookup_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here" / "checkpoints", tmp_path / "there"
    for root in (here, there):
        root.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("WHATWHERE_CHECKPOINTS", str(there))
    policy = build(config("cnn_avg"))
    save(policy, there / "a")
    assert stored.locate("a") == there / "a"
    save(policy, here / "a")
    assert stored.locate("a") == Path("checkpoints/a")
    assert stored.locate(there / "a") == there / "a"
    assert stored.roots()[:2] == [Path("checkpoints"), there]


def test_bad_files_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    folder = save(build(config()), tmp_path / "policy")
    flip_bit(folder)
    code = f"""
import sys
from policy.storage.checkpoint import load
from whatwhere.errors import BadInput, Failed
try:
    load({str(folder)!r})
except BadInput:
    sys.exit(3 if "torch" in sys.modules else 0)
sys.exit(4)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("length", [0x180, 0x4B50])
def test_a_header_may_be_as_long_as_a_pickle_begins(length: int, tmp_path: Path) -> None:
    """The file starts with the header's length: 80 01, as a pickle does with 80, and 50 4B, as a zipped one does."""
    path = tmp_path / "model.safetensors"
    text = json.dumps({"weight": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(length.to_bytes(8, "little") + text.ljust(length) + bytes(2))
    assert read_header(path) == {"weight": [1]}
