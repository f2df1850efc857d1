"""FIFOs, devices, circles of links, sockets, folders and sparse files where a file of each kind belongs: one line at once, never a wait."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.demos.episodes import read_episode
from envs.demos.formats import open_source
from envs.demos.journal import read as read_journal
from envs.foreign.names import check_foreign
from envs.teleop.file import CommandFile
from envs.video import num_frames
from eval.reports.tables import rewrite_block
from eval.results import load as load_results
from policy.pretrain.footage import Play
from policy.storage.stored import locate, read_manifest, read_streams, verify
from policy.storage.tensorfile import read_header
from tests.envs.demos.demo_files import write_folder, write_robomimic
from tests.test_look import NOT_READ
from whatwhere.errors import BadInput
from whatwhere.files import sha256
from whatwhere.owned import claim

ROOT = Path(__file__).resolve().parents[1]


def _checkpoint(folder: Path) -> Path:
    """A copy of a shipped policy, with its manifest and streams."""
    skipped = shutil.ignore_patterns("avg_*", "all_patches*", "cnn*", "place*", "stack*", "navigate*")
    shutil.copytree(ROOT / "checkpoints", folder / "checkpoints", ignore=skipped)
    return folder / "checkpoints"


def _lerobot(folder: Path) -> Path:
    pytest.importorskip("pyarrow")
    from tests.envs.demos.test_convert import run

    return run(write_folder(folder / "demos", 1), folder / "lerobot", "lerobot", "pictures=video")


def _read_all(path: Path) -> None:
    with open_source(path) as source:
        source.header(0)
        source.episode(0)


def _rows(folder: Path) -> Path:
    row = {"task": "t", "version": "0", "seed": 0, "episode": 0, "init_hash": "00000000", "success": True, "position_error_cm": 1.0}
    (folder / "episodes.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def _play(folder: Path) -> Path:
    np.save(folder / "frames.npy", np.zeros((1, 2, 8, 8, 3), np.uint8))
    return folder


# kind → how a good one is made (its folder comes back), which file of it is replaced, and what then reads it
KINDS: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], object]]] = {
    "demonstration": (lambda d: write_folder(d / "demos", 1), "episode_0.hdf5", lambda d: read_episode(d / "episode_0.hdf5")),
    "folder of demonstrations": (lambda d: write_folder(d / "demos", 1), "episode_0.hdf5", _read_all),
    "robomimic file": (lambda d: write_robomimic(d / "r.hdf5").parent, "r.hdf5", lambda d: _read_all(d / "r.hdf5")),
    "info of LeRobot": (_lerobot, "meta/info.json", _read_all),
    "episodes of LeRobot": (_lerobot, "meta/episodes/chunk-000/file-000.parquet", _read_all),
    "data of LeRobot": (_lerobot, "data/chunk-000/file-000.parquet", _read_all),
    "rows of ours in LeRobot": (_lerobot, "meta/whatwhere.jsonl", _read_all),
    "digests of ours in LeRobot": (_lerobot, "meta/whatwhere.json", _read_all),
    "video of LeRobot": (_lerobot, "videos/observation.images.agentview/chunk-000/file-000.mp4", _read_all),
    "rows": (_rows, "episodes.jsonl", load_results),
    "results": (_rows, "results.json", load_results),
    "settings": (lambda d: d, "settings.json", lambda d: claim(d, {"kind": "a", "seed": 1})),
    "manifest": (_checkpoint, "manifest.json", read_manifest),
    "manifest beside a checkpoint": (_checkpoint, "manifest.json", lambda d: verify(d / "pick_at_xy/pixelwise")),
    "configuration": (_checkpoint, "pick_at_xy/pixelwise/config.json", lambda d: verify(d / "pick_at_xy/pixelwise")),
    "configuration, by its folder": (_checkpoint, "pick_at_xy/pixelwise/config.json", lambda d: verify(locate(d / "pick_at_xy/pixelwise"))),
    "weights": (_checkpoint, "pick_at_xy/pixelwise/model.safetensors", lambda d: verify(d / "pick_at_xy/pixelwise")),
    "weights alone": (lambda d: d, "w.safetensors", lambda d: read_header(d / "w.safetensors")),
    "record of streams": (lambda d: d, "config.json", read_streams),
    "play": (_play, "frames.npy", Play),
    "index of play": (_play, "index.json", Play),
    "journal": (lambda d: d, "j.journal", lambda d: read_journal(d / "j.journal")),
    "commands": (lambda d: d, "c.jsonl", lambda d: CommandFile(str(d / "c.jsonl"))),
    "document": (lambda d: d, "d.md", lambda d: rewrite_block(d / "d.md", "b", "text")),
    "anything that is hashed": (lambda d: d, "x", lambda d: sha256(d / "x")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_odd_files_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    make, name, reader = KINDS[kind]
    good = make(tmp_path)
    for odd, (put, _) in NOT_READ.items():
        path = good / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        put(path)
        if kind in ("commands", "settings") and odd == "folder":  # a folder of episodes; not a home of settings
            continue
        if kind == "settings" and odd == "circle":  # is replaced
            continue
        begin = time.monotonic()
        with pytest.raises(BadInput) as refused:
            reader(good)
        assert time.monotonic() - begin < 5, odd
        assert Path(name).name in str(refused.value) and "\n" not in str(refused.value), f"{odd}: {refused.value}"


def test_what_is_no_video_is_recorded_anew(tmp_path: Path) -> None:
    for odd, (put, _) in NOT_READ.items():
        put(tmp_path / f"{odd}.mp4")
        begin = time.monotonic()
        assert num_frames(tmp_path / f"{odd}.mp4") == 0 and time.monotonic() - begin < 5


def test_a_module_of_ones_own_that_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for odd in ("fifo", "zero", "terabytes"):
        NOT_READ[odd][0](tmp_path / f"{odd}_module.py")
        with pytest.raises(BadInput, match=f"{odd}_module"):
            check_foreign(f"{odd}_module:Task", ())
