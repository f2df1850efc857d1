"""Episode files: what is written comes back, and nothing that is damaged, hostile or merely wrong gets in."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos.episodes import Episode, episode_paths, frame_pairs, pair_indices, read_attrs, read_episode, write_episode
from whatwhere.errors import BadInput

STEPS = 12
SETTINGS = {
    "task": "pick_at_xy",
    "task_version": "0",
    "init_hash": "0123456789abcdef",
    "seed": 7,
    "episode": 3,
    "rendering": "fast",
    "size": 16,
    "cameras": ["agentview", "robot0_eye_in_hand"],
    "frame_gap": 4,
    "control_hz": 20,
    "horizon": 200,
    "versions": {"robosuite": "1.5.2", "mujoco": "3.9.0"},
    "model_file": "<mujoco/>" * 20_000,
}


def made_up(steps: int = STEPS, **changes: object) -> Episode:
    rng = np.random.default_rng(0)
    episode = Episode(
        actions=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
        states=rng.normal(size=(steps, 71)),
        proprio=rng.normal(size=(steps, 20)).astype(np.float32),
        frames=rng.integers(0, 256, (steps, 2, 16, 16, 3), dtype=np.uint8),
        success=True,
        instruction="pick the red cube",
        attrs=dict(SETTINGS),
        executed_actions=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
    )
    return dataclasses.replace(episode, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "episode_0.hdf5"
    write_episode(file, made_up())
    return file


def test_what_is_written_comes_back(path: Path) -> None:
    written, read = made_up(), read_episode(path)
    for name in ("actions", "states", "proprio", "frames", "executed_actions"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        assert getattr(read, name).dtype == getattr(written, name).dtype
    assert (read.success, read.instruction, read.attrs) == (True, written.instruction, written.attrs)
    assert read_episode(path, frames=False).frames is None
    attrs = read_attrs(path)
    assert len(attrs.pop("sha256")) == 64
    assert attrs == {**SETTINGS, "success": True, "instruction": written.instruction, "steps": STEPS}
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file is left


def test_same_episode_gives_same_bytes(path: Path) -> None:
    write_episode(path.with_name("again.hdf5"), made_up())
    assert path.read_bytes() == path.with_name("again.hdf5").read_bytes()


def test_is_a_robomimic_file(path: Path) -> None:
    with h5py.File(path) as opened:
        file: Any = opened
        demo, env_args = file["data/demo_0"], json.loads(file["data"].attrs["env_args"])
        assert set(env_args) == {"env_name", "type", "env_version", "env_kwargs"}
        assert env_args["type"] == 1
        assert file["data"].attrs["total"] == demo.attrs["num_samples"] == STEPS
        assert demo.attrs["model_file"].startswith("<mujoco")
        assert json.loads(demo.attrs["ep_meta"])["lang"]
        assert set(demo) == {"actions", "executed_actions", "states", "rewards", "dones", "obs"}
        assert set(demo["obs"]) == {"agentview_image", "robot0_eye_in_hand_image", "proprio"}
        assert demo["obs/agentview_image"].shape == (STEPS, 16, 16, 3)
        assert demo["obs/agentview_image"].compression == "gzip"
        assert demo["rewards"][-1] == demo["dones"][-1] == 1
        assert not demo["rewards"][:-1].any()
        assert not demo["dones"][:-1].any()


def test_pairs_are_what_the_environment_shows() -> None:
    assert pair_indices(6, 4).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4], [1, 5]]
    frames = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1, 1) + np.zeros((6, 2, 3, 3, 3), np.uint8)
    pairs = frame_pairs(frames, 4)
    assert pairs.shape == (6, 2, 2, 3, 3, 3)
    assert pairs[5, 1, :, 0, 0, 0].tolist() == [1, 5]


def test_paths_are_in_order_of_their_number(tmp_path: Path) -> None:
    for name in ("episode_10.hdf5", "episode_2.hdf5", ".episode_1.hdf5.77.tmp", "episode_x.hdf5", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in episode_paths(tmp_path)] == ["episode_2.hdf5", "episode_10.hdf5"]


@pytest.mark.parametrize("folder", ["", "missing"])
def test_a_folder_without_demonstrations_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(BadInput, match=r"no such folder|holds no demonstrations"):
        episode_paths(tmp_path / folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.full((STEPS, 7), np.nan, np.float32)}, "actions: NaN or infinite at step 0"),
        ({"actions": np.full((STEPS, 7), 1.5, np.float32)}, r"actions: needs values in \[-1, 1\], found 1.5"),
        ({"actions": np.zeros((STEPS, 7))}, "actions: needs type float32, found float64"),
        ({"actions": np.zeros((0, 7), np.float32)}, "no empty one"),
        ({"states": np.zeros((STEPS + 1, 5))}, "states: needs 12 steps"),
        ({"frames": None}, "frames: needs shape"),
        ({"frames": np.zeros((STEPS, 2, 16, 16, 4), np.uint8)}, r"needs \(t, h, w, 3\)"),
        ({"attrs": {**SETTINGS, "seed": "7"}}, "seed: needs a whole number from 0 on or null, found '7'"),
        ({"attrs": {**SETTINGS, "cameras": ["../a", "b"]}}, r"cameras\[0\]: needs a name of letters, digits and _, found '../a'"),
        ({"attrs": {**SETTINGS, "cameras": ["a", "a"]}}, "cameras: needs different names"),
        ({"attrs": {key: value for key, value in SETTINGS.items() if key != "init_hash"}}, "init_hash: missing"),
    ],
)
def test_only_valid_episodes_are_written(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write_episode(tmp_path / "episode_0.hdf5", made_up(**changes))
    assert not list(tmp_path.iterdir())


def _replace(name: str, **dataset: object) -> Callable[[Any], Any]:
    def change(file: Any) -> None:
        digest = file["data/demo_0"][name].attrs["sha256"]
        del file["data/demo_0"][name]
        file["data/demo_0"].create_dataset(name, **dataset).attrs["sha256"] = digest

    return change


def _link(link: object) -> Callable[[Any], Any]:
    def change(file: Any) -> None:
        del file["data/demo_0/states"]
        file["data/demo_0/states"] = link

    return change


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((STEPS, 71), np.float64)
    layout[:] = h5py.VirtualSource("/etc/hostname.hdf5", "x", (STEPS, 71))
    digest = file["data/demo_0/states"].attrs["sha256"]
    del file["data/demo_0/states"]
    file.create_virtual_dataset("data/demo_0/states", layout).attrs["sha256"] = digest


def _group(file: Any) -> None:
    del file["data/demo_0/states"]
    file.create_group("data/demo_0/states")


def _set(name: str, value: object) -> Callable[[Any], Any]:
    return lambda file: file["data/demo_0"].attrs.__setitem__(name, value)


HUGE = {"shape": (100_000, 4000, 4000, 3), "dtype": "u1", "chunks": (1, 16, 16, 3)}
HOSTILE = {
    "soft link": (_link(h5py.SoftLink("/data/demo_0/actions")), "states: is a link to elsewhere"),
    "external link": (_link(h5py.ExternalLink("/etc/passwd", "/")), "states: is a link to elsewhere"),
    "virtual": (_virtual, "states: its values lie in another file"),
    "external": (_replace("states", shape=(STEPS, 71), dtype="f8", external=[("/etc/passwd", 0, STEPS * 71 * 8)]), "states: its values lie in another"),
    "a group": (_group, "states: needs a dataset"),
    "missing": (lambda file: file.__delitem__("data/demo_0/states"), "states: missing"),
    "type": (_replace("states", data=np.zeros((STEPS, 71), "f4")), "states: needs type float64"),
    "shape": (_replace("states", data=np.zeros((STEPS, 71, 1))), "states: needs 2 axes"),
    "text": (_replace("actions", data=["a"] * STEPS), "actions: needs type float32"),
    "huge": (_replace("obs/agentview_image", **HUGE), "agentview_image: needs 12 steps"),
    "huge pictures": (_replace("obs/agentview_image", **{**HUGE, "shape": (STEPS, 99_999, 99_999, 3)}), "larger than any demonstration"),
    "never written": (_replace("obs/agentview_image", **{**HUGE, "shape": (STEPS, 2000, 2000, 3)}), "does not fit the 0 bytes stored"),
    "other numbers": (lambda file: file["data/demo_0/actions"].__setitem__((0, 0), 0.123), "actions: sha256 does not match"),
    "another start": (_set("whatwhere", json.dumps({**SETTINGS, "model_file": "", "success": True, "instruction": ""})), "sha256 of the settings"),
    "no settings": (_set("whatwhere", "[]"), "attribute whatwhere of /data/demo_0: needs an object, found"),
    "not JSON": (_set("whatwhere", "{"), "attribute whatwhere of /data/demo_0: not JSON"),
    "settings a number": (_set("whatwhere", 5), "whatwhere of /data/demo_0: needs a text"),
    "no steps": (_set("num_samples", "many"), "num_samples of /data/demo_0: needs a whole number"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(path: Path, kind: str) -> None:
    change, message = HOSTILE[kind]
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=message) as refusal:
        read_episode(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_that_are_no_episodes_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for content in (b"", b"not HDF5", whole[: len(whole) // 2], whole[:-1], whole[: len(whole) - 3000]):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"not a whole HDF5 file"):
            read_episode(path)
    for place in (tmp_path / "missing.hdf5", tmp_path):
        with pytest.raises(BadInput, match=r"no such file|is a folder"):
            read_episode(place)


def test_a_flipped_bit_is_noticed_or_harmless(path: Path) -> None:
    whole, written, rng = path.read_bytes(), read_episode(path), np.random.default_rng(1)
    refused = 0
    for place in rng.integers(len(whole), size=300):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            read = read_episode(path)
        except BadInput as refusal:
            refused += "\n" not in str(refusal)
            continue
        assert read.attrs == written.attrs
        assert read.success == written.success
        for name in ("actions", "states", "proprio", "frames", "executed_actions"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert refused > 200


def test_pictures_flipped_by_a_bit_do_not_stop_a_reader_of_the_rest(path: Path) -> None:
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        file["data/demo_0/obs/agentview_image"][3, 0, 0, 0] ^= 1
    assert read_episode(path, frames=False).success
    with pytest.raises(BadInput, match="agentview_image: sha256 does not match"):
        read_episode(path)


def test_reading_needs_no_simulator() -> None:
    script = "import sys, envs.demos.episodes; print([m for m in ('mujoco', 'robosuite', 'torch', 'OpenGL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
