"""The JSON beside weights, damaged or hostile: one line with file, field, found and valid, before anything is allocated or read elsewhere."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from policy.fusion.pixelwise import PixelwiseFusion
from policy.heads.change_to_actions import InverseDynamics
from policy.model import build
from policy.storage import stored
from policy.storage.checkpoint import load, load_fusion, load_streams, save_pretrained, save_streams, verify, write_manifest
from policy.storage.tensorfile import read_header
from policy.transforms import Affine
from tests.policy.small import PROPRIO, config
from whatwhere.errors import BadInput
from whatwhere.files import sha256

NORMALISATION = {"proprio": Affine.identity(PROPRIO), "actions": Affine.identity(7)}
ROOT = Path(__file__).resolve().parents[3]
NESTED: Any = {}
for _ in range(70):
    NESTED = {"a": NESTED}


def save(root: Path, name: str = "pick_at_xy/pixelwise", **options: Any) -> Path:
    policy = build(config(**options))
    training = {"steps": 10, "start_hashes": ["0" * 16], "demo_starts": [[0, 1]]}
    return save_pretrained(policy, root / name, task="pick_at_xy", normalisation=NORMALISATION, training=training, streams_root=root)


def put(value: Any, *place: Any) -> Callable[[Any], Any]:
    """A change that puts `value` at a place of a JSON value."""

    def change(record: Any) -> None:
        *path, last = place
        for part in path:
            record = record[part]
        record[last] = value

    return change


def edit(path: Path, change: Callable[[Any], Any] | str) -> None:
    """Changes a JSON file, or puts a text in its place."""
    if isinstance(change, str):
        path.write_text(change)
        return
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def refused(call: Callable[[], object], *words: str) -> str:
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700 and time.monotonic() - began < 5
    for word in words:
        assert word in text
    return text


CONFIG: list[tuple[Any, str]] = [
    ("[]", "needs an object, found []"),
    ("[" * 100_000, "nested deeper than 64"),
    ('{"format": 1, "format": 1}', "the key 'format' stands twice"),
    ('{"task": "\\ud800"}', "task: needs text"),
    ('{"size": NaN}', "size: needs a finite number"),
    ('{"size": ' + "9" * 5000 + "}", "thousands of digits"),
    (put([], "task"), "task: needs a text of 1 to 255 characters, found []"),
    (put("", "task"), "task: needs a text of 1 to 255 characters, found ''"),
    (put([1], "policy"), "policy: needs an object, found [1]"),
    (put({}, "policy", "encoder"), "policy: encoder: needs a text, found {}"),
    (put([["a"]], "policy", "cameras"), "policy: cameras[0]: needs a text, found ['a']"),
    (put(["a"] * 100, "policy", "cameras"), "cameras="),
    (put(True, "policy", "size"), "policy: size: needs a whole number, found True"),
    (put("1" * 5000, "policy", "size"), "policy: size: needs a whole number, found '1111"),
    (put(1, "policy", "frozen_streams"), "policy: frozen_streams: needs true or false, found 1"),
    (put("nan", "policy", "m_dropout"), "policy: m_dropout: needs a finite number, found 'nan'"),
    (put(0, "policy", "frame_gap"), "policy: frame_gap=0: must be 1 to 1000"),
    (put(100_000, "policy", "streams", "depth"), "policy: streams.depth=100000: must be 1 to 64"),
    (put(10**9, "policy", "streams", "dim"), "policy: streams.dim=1000000000: must be 1 to 4096"),
    (put({"patch": 8, "dim": 4096, "depth": 64, "heads": 4, "stem": "conv"}, "policy", "streams"), "make 2.6e+10 weights; at most 1e+09"),
    (put(10**6, "policy", "keypoints"), "policy: keypoints=1000000: must be 1 to 1024"),
    (put(10**11, "policy", "head_parameters"), "policy: head_parameters=100000000000: must be 1 to 100000000"),
    (put(10**9, "policy", "chunk"), "policy: chunk=1000000000: must be 1 to 1000"),
    (put(100_000, "policy", "size"), "policy: size=100000: must be 1 to 1024"),
    (put([], "normalisation"), "normalisation: needs an object, found []"),
    (put({"a": 1}, "normalisation", "proprio", "shift"), "normalisation.proprio.shift: needs a list of 0 to 4096, found {'a': 1}"),
    (put("1", "normalisation", "proprio", "scale", 0), "normalisation.proprio.scale[0]: needs a finite number, found '1'"),
    (put(0, "normalisation", "actions", "scale", 0), "normalisation: normalisation: shift must be finite, scale finite and above 0"),
    (put({"a": 1}, "training", "start_hashes"), "training.start_hashes: needs a list, found {'a': 1}"),
    (put([["0" * 16]], "training", "start_hashes"), "training.start_hashes[0]: needs a text"),
    (put([[0]], "training", "demo_starts"), "training.demo_starts[0]: needs a list of 2, found [0]"),
    (put("x", "training", "train_seed"), "training.train_seed: needs a whole number"),
    (put({}, "training", "task_version"), "training.task_version: needs a text"),
    (put([], "files"), "files: needs an object, found []"),
    (put({"../../x": {"sha256": "0" * 64}}, "files"), "needs the name of a file in that folder, found '../../x'"),
    (put(-1, "files", "model.safetensors", "bytes"), "files.model.safetensors.bytes: needs a whole number from 0"),
    (put(["a"], "files", "model.safetensors", "sha256"), "files.model.safetensors.sha256: needs a sha256 (64 hexadecimal digits), found ['a']"),
    (put("../" * 10, "streams_sha256"), "streams_sha256: needs a sha256 (64 hexadecimal digits) or null"),
    (put([2], "tensors", "language.map.bias"), "tensor language.map.bias: found [16], needs [2]"),
    (put({"a": 1}, "tensors", "language.map.bias"), "tensors.language.map.bias: needs a list of 0 to 16, found {'a': 1}"),
    (put([-1], "tensors", "language.map.bias"), "tensors.language.map.bias[0]: needs a whole number from 0"),
    (put(NESTED, "versions"), "nested deeper than 64"),
    (put({"torch": 2}, "versions"), "versions.torch: needs a text"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored, "roots", lambda: [root for root in (Path("checkpoints"),) if root.is_dir()])
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("change", "told"), CONFIG, ids=[told[:60] for _, told in CONFIG])
def test_config_json(change: Any, told: str, whole: Path, home: Path) -> None:
    shutil.copytree(whole.parents[1], home / "copy")
    folder = home / "copy" / "pick_at_xy" / "pixelwise"
    edit(folder / "config.json", change)
    refused(lambda: load(folder), f"{folder}", told)


def test_sizes_that_the_weights_do_not_have_take_no_memory(home: Path) -> None:
    """Each within its range, together 400 million weights: refused by the file's own shapes."""
    folder = save(home / "a")
    edit(folder / "config.json", put({"patch": 8, "dim": 1024, "depth": 16, "heads": 4, "stem": "conv"}, "policy", "streams"))
    edit(folder / "config.json", put(100_000_000, "policy", "head_parameters"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: load(folder), "config.json: policy: streams.depth=16, streams.dim=1024: have 402653184 weights, the file holds ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("{}", "config.json: sha256: missing"),
        (put(10**6, "size"), "size: needs a whole number from 1 to 4096"),
        (put(100_000, "streams", "depth"), "streams.depth=100000: must be 1 to 64"),
        (put("x", "streams", "dim"), "streams.dim: needs a whole number, found 'x'"),
        (put(1, "streams", "more"), "streams: 'more': no such key"),
        (put([], "streams"), "streams: needs an object, found []"),
        (put({"settings": []}, "training"), "training.settings: needs an object, found []"),
        (put({"seconds": "x"}, "training"), "training.seconds: needs a finite number"),
        (put({"figures": {"loss": "x"}}, "training"), "training.figures.loss: needs a finite number"),
    ],
)
def test_the_record_of_streams(change: Any, told: str, home: Path) -> None:
    streams = build(config()).streams
    assert streams is not None
    folder = home / "streams" / save_streams(streams, home, config())[:16]
    edit(folder / "config.json", change)
    refused(lambda: load_streams(folder), str(folder), told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("[]", "fusion.json: needs an object, found []"),
        (put(10**9, "dim"), "fusion.json: dim: needs a whole number from 1 to 4096, found 1000000000"),
        (put(128, "dim"), "fusion.json: dim: needs 64, as the streams beside it have, found 128"),
        (put({}, "fusion"), "fusion.json: fusion: needs cross_attention, gating, linear or mlp, found {}"),
        (put("x", "sharing"), "fusion.json: sharing: needs separate or shared, found 'x'"),
        (put("mlp", "fusion"), "fusion.safetensors: tensor patches.join"),
        (put([[1]], "tensors", "cls.join.bias"), "fusion.json: tensors.cls.join.bias[0]: needs a whole number"),
    ],
)
def test_fusion_json(change: Any, told: str, home: Path) -> None:
    streams = build(config()).streams
    assert streams is not None
    fusion = PixelwiseFusion(streams.dim, streams.grid)
    folder = home / "streams" / save_streams(streams, home, config(), fusion=fusion)[:16]
    assert load_fusion(folder, streams.grid) is not None
    edit(folder / "fusion.json", change)
    refused(lambda: load_fusion(folder, streams.grid), str(folder), told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("{}", "head.json: action_dim: missing"),
        (put([6], "grid"), "head.json: grid: needs a list of 2, found [6]"),
        (put([10**6, 10**6], "grid"), "head.json: grid[0]: needs a whole number from 1 to 512"),
        (put(10**9, "chunk"), "head.json: chunk: needs a whole number from 1 to 1000"),
        (put(128, "dim"), "head.safetensors: tensor head."),
        (put(None, "tensors"), "head.json: tensors: needs an object, found None"),
    ],
)
def test_head_json(change: Any, told: str, home: Path) -> None:
    InverseDynamics(64, (6, 6), 4, 7).save(home, {"gap": 4})
    assert InverseDynamics.from_pretrained(home).sizes["dim"] == 64
    edit(home / "head.json", change)
    refused(lambda: InverseDynamics.from_pretrained(home), str(home), told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("[]", "manifest.json: needs an object, found []"),
        (put(2, "format"), "manifest.json: format: needs 1, the format that this version reads, found 2"),
        (put([], "defaults"), "manifest.json: defaults: needs an object, found []"),
        (put({"pixelwise": ["x"]}, "defaults", "pick_at_xy"), "manifest.json: defaults.pick_at_xy.pixelwise: needs a text"),
        (put(["model.safetensors"], "checkpoints", "pick_at_xy/pixelwise", "files"), "manifest.json: checkpoints.pick_at_xy/pixelwise.files: needs an object"),
        (put({}, "checkpoints", "pick_at_xy/pixelwise", "files", "config.json"), "files.config.json.sha256: missing"),
        (
            put({"../../secret": {"sha256": "0" * 64}}, "checkpoints", "pick_at_xy/pixelwise", "files"),
            "the name of a file in that folder, found '../../secret'",
        ),
        (put({"/etc/passwd": {"sha256": "0" * 64}}, "checkpoints", "pick_at_xy/pixelwise", "files"), "the name of a file in that folder, found '/etc/passwd'"),
    ],
)
def test_manifest_json(change: Any, told: str, home: Path) -> None:
    save(home / "checkpoints")
    write_manifest(home / "checkpoints")
    verify("pick_at_xy/pixelwise")
    edit(home / "checkpoints" / "manifest.json", change)
    refused(lambda: verify("pick_at_xy/pixelwise"), "checkpoints/manifest.json", told)


@pytest.mark.parametrize("way", ["..", "absolute", "link"])
def test_nothing_outside_is_read_because_a_manifest_names_it(way: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = home / "checkpoints"
    save(root)
    outside = save(home / "elsewhere", "mine")
    streams = next((home / "elsewhere" / "streams").iterdir())
    write_manifest(root)
    opened: list[str] = []
    name = {"..": "../elsewhere/{}", "absolute": str(home / "elsewhere") + "/{}", "link": "linked/{}"}[way]
    (root / "linked").symlink_to(home / "elsewhere")
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["defaults"]["pick_at_xy"]["pixelwise"] = name.format("mine")
    manifest["streams"][manifest["default_streams"]]["folder"] = name.format(f"streams/{streams.name}")
    (root / "manifest.json").write_text(json.dumps(manifest))
    real = Path.open

    def watched(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(os.path.realpath(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    refused(lambda: stored.find("pick_at_xy", "pixelwise"), "leads out of that folder")
    refused(stored.default_streams, "leads out of that folder")
    assert opened and not [path for path in opened if path.startswith(str(home / "elsewhere"))]
    assert outside.is_dir()


def test_a_listed_file_that_is_a_link_to_elsewhere_is_not_read(home: Path) -> None:
    root = home / "checkpoints"
    folder = save(root)
    write_manifest(root)
    (home / "secret").write_text("secret")
    (folder / "config.json").rename(home / "config.json")
    (folder / "config.json").symlink_to(home / "config.json")
    text = refused(lambda: verify("pick_at_xy/pixelwise"), "config.json", "leads out of that folder")
    assert sha256(home / "config.json")[:16] not in text


def header(path: Path, value: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "header: needs an object, found []"),
        ({"a": 1}, "header: a: needs an object, found 1"),
        ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0]}}, "header: a.data_offsets: needs a list of 2, found [0]"),
        ({"a": {"dtype": "F16", "shape": "2", "data_offsets": [0, 4]}}, "header: a.shape: needs a list of 0 to 16, found '2'"),
        ({"a": {"dtype": "O", "shape": [2], "data_offsets": [0, 4]}}, "header: a.dtype: needs BF16, BOOL"),
        ({"a": {"dtype": "F16", "shape": [10**12], "data_offsets": [0, 4]}}, "needs 2000000000000 bytes from 0"),
        ({"a": {"dtype": "F16", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, "tensor 'a': lies at 0 to 4"),
        ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [4, 0]}}, "tensor 'a': lies at 4 to 0"),
        ({n: {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]} for n in "ab"}, "tensor 'b': lies at 0 to 4; needs 4 bytes from 4"),
        ({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}, "73 bytes, its header needs 71"),
        ({"__metadata__": {"a": 1}}, "header: __metadata__: a: needs a text, found 1"),
        ({"__metadata__": []}, "header: __metadata__: needs an object, found []"),
        (b"[" * 100_000, "header: nested deeper than 64"),
        (b'{"a": NaN}', "header: a: needs a finite number"),
    ],
    ids=range(14),
)
def test_the_header_of_a_file_of_weights(value: Any, told: str, tmp_path: Path) -> None:
    path = header(tmp_path / "a.safetensors", value, b"\0" * 4)
    refused(lambda: read_header(path), "a.safetensors", told)


def test_a_header_longer_than_any_is_not_read(tmp_path: Path) -> None:
    path = header(tmp_path / "a.safetensors", b" " * (9 << 20))
    refused(lambda: read_header(path), "a.safetensors: not a safetensors file")
    refused(lambda: read_header(header(path, b"{}", length=2**63)), "a.safetensors: not a safetensors file")


def test_weights_that_are_nan_are_refused(home: Path) -> None:
    folder = save(home / "a")
    path = folder / "model.safetensors"
    from safetensors.torch import load_file

    tensors = load_file(path)
    tensors["language.map.bias"][0] = torch.nan
    save_file(tensors, path)
    edit(folder / "config.json", put({"bytes": path.stat().st_size, "sha256": sha256(path)}, "files", "model.safetensors"))
    refused(lambda: load(folder), "model.safetensors: tensor language.map.bias: holds NaN or infinity")


def test_a_command_says_it_in_one_line(home: Path) -> None:
    folder = save(home / "a")
    edit(folder / "config.json", put({"a": "\ud800"}, "task"))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "eval.run", "task=pick_at_xy", f"checkpoint={folder}", "episodes=1"],
        cwd=home, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert r"config.json: task.a: needs text, found half a character ('\ud800')" in done.stderr
    assert time.monotonic() - began < 60  # busy machines
