"""robomimic's and LeRobot's own loaders read what we write, and we read what LeRobot writes. `make test-interop` sets up where they are installed.

Skipped where they are not, unless WHATWHERE_INTEROP=1 says that they must be.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.demos.episodes import Episode, episode_paths, read_episode
from envs.demos.formats import Reading, open_source
from tests.envs.demos.demo_files import CAMERAS, write_folder
from tests.envs.demos.test_convert import run
from tests.envs.demos.test_robot_state import small

NUMBER = 4
CODEC_LOSS = 8.0  # mean difference of a picture, in 255: half the resolution of colours, at 16 pixels
LEROBOTS = ("lerobot", "ledataset")  # LeRobot's own package, and its dataset part alone (distribution lerobot-dataset)


def own_module(name: str) -> Any:
    """A module of theirs; skips the test if it is not installed here."""
    if os.environ.get("WHATWHERE_INTEROP") != "1":
        pytest.importorskip(name.partition(".")[0], reason="make test-interop installs it in an environment of its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("ours") / "demos", NUMBER)


@pytest.fixture(scope="module")
def written(folder: Path) -> list[Episode]:
    return [read_episode(path) for path in episode_paths(folder)]


@pytest.mark.parametrize("cache", [None, "low_dim", "all"])
def test_robomimic_reads_ours(folder: Path, written: list[Episode], tmp_path: Path, cache: str | None) -> None:
    dataset = own_module("robomimic.utils.dataset")
    observations, files = own_module("robomimic.utils.obs_utils"), own_module("robomimic.utils.file_utils")
    path = str(run(folder, tmp_path / "ours.hdf5", "robomimic", "valid=0.25"))
    pictures = [f"{camera}_image" for camera in CAMERAS]
    observations.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["proprio"], "rgb": pictures}})
    assert files.get_env_metadata_from_dataset(path)["env_name"] == "MadeUp"
    assert files.get_demos_for_filter_key(path, "valid") == ["demo_3"]
    shapes = files.get_shape_metadata_from_dataset(path, all_obs_keys=["proprio", *pictures])
    assert (shapes["ac_dim"], shapes["all_shapes"]["proprio"]) == (7, [10])
    options: dict[str, Any] = {"obs_keys": ["proprio", *pictures], "dataset_keys": ["actions", "rewards", "dones"], "load_next_obs": False}
    read = dataset.SequenceDataset(path, **options, hdf5_cache_mode=cache)
    assert len(read) == sum(map(len, written))
    row = 0
    for episode in written:
        for step in range(len(episode)):
            item = read[row]
            np.testing.assert_array_equal(item["actions"][0], episode.actions[step])
            np.testing.assert_array_equal(item["obs"]["proprio"][0], episode.proprio[step])
            for i, name in enumerate(pictures):
                np.testing.assert_array_equal(item["obs"][name][0], np.asarray(episode.frames)[step, i])
            assert item["dones"][0] == (step == len(episode) - 1)
            row += 1
    assert len(dataset.SequenceDataset(path, **options, filter_by_attribute="valid")) == len(written[3])
    read.close_and_delete_hdf5_handle()


@pytest.mark.parametrize("pictures", ["image", "video"])
@pytest.mark.parametrize("package", LEROBOTS)
def test_lerobot_reads_ours(folder: Path, written: list[Episode], tmp_path: Path, package: str, pictures: str) -> None:
    if pictures == "video":
        try:
            importlib.import_module("torchcodec.decoders")
        except (ImportError, RuntimeError):  # the latter is what torchcodec says of missing libraries
            pytest.skip("needs the shared libraries of ffmpeg: apt-get install ffmpeg")
    lerobot = own_module(f"{package}.datasets.lerobot_dataset")
    root = run(folder, tmp_path / "ours", "lerobot", f"pictures={pictures}")
    read = lerobot.LeRobotDataset("somebody/ours", root=root)
    assert (read.num_episodes, len(read), read.fps) == (NUMBER, sum(map(len, written)), 20)
    actions = np.concatenate([episode.actions for episode in written])
    np.testing.assert_allclose(read.meta.stats["action"]["mean"], actions.mean(0), rtol=1e-5, atol=1e-6)
    row = 0
    for number, episode in enumerate(written):
        for step in range(len(episode)):
            item = read[row]
            np.testing.assert_array_equal(item["action"].numpy(), episode.actions[step])
            np.testing.assert_array_equal(item["observation.state"].numpy(), episode.proprio[step])
            assert (item["task"], int(item["episode_index"]), int(item["frame_index"])) == (episode.instruction, number, step)
            assert bool(item["next.success"]) == (episode.success and step == len(episode) - 1)
            for i, camera in enumerate(CAMERAS):
                shown = (item[f"observation.images.{camera}"].numpy().transpose(1, 2, 0) * 255).round()
                gaps = [np.abs(shown - frame).mean() for frame in np.asarray(episode.frames)[:, i]]
                assert gaps[step] == min(gaps) <= (0 if pictures == "image" else CODEC_LOSS)
            row += 1
    pairs = lerobot.LeRobotDataset("somebody/ours", root=root, delta_timestamps={"action": [0, 0.05], f"observation.images.{CAMERAS[0]}": [-0.2, 0]})
    assert pairs[5]["action"].shape == (2, 7) and pairs[5][f"observation.images.{CAMERAS[0]}"].shape == (2, 3, 16, 16)


@pytest.mark.parametrize("package", LEROBOTS)
def test_we_read_what_lerobot_writes(written: list[Episode], tmp_path: Path, package: str) -> None:
    lerobot = own_module(f"{package}.datasets.lerobot_dataset")
    sizes = {"action": 7, "observation.state": 10}
    features: dict[str, Any] = {name: {"dtype": "float32", "shape": (size,), "names": None} for name, size in sizes.items()}
    features |= {f"observation.images.{camera}": {"dtype": "image", "shape": (16, 16, 3), "names": ["height", "width", "channels"]} for camera in CAMERAS}
    made = lerobot.LeRobotDataset.create("somebody/theirs", fps=20, features=features, root=tmp_path / "theirs", use_videos=False)
    for episode in written:
        for step in range(len(episode)):
            pictures = {f"observation.images.{camera}": np.asarray(episode.frames)[step, i] for i, camera in enumerate(CAMERAS)}
            made.add_frame({"action": episode.actions[step], "observation.state": episode.proprio[step], "task": episode.instruction, **pictures})
        made.save_episode()
    made.finalize()
    with open_source(tmp_path / "theirs", Reading(task="pick_at_xy")) as source:
        assert len(source) == NUMBER
        for index, episode in enumerate(written):
            read = source.episode(index)
            for name in ("actions", "proprio", "frames", "instruction"):
                np.testing.assert_array_equal(getattr(read, name), getattr(episode, name))
    back = run(tmp_path / "theirs", tmp_path / "folder", "folder", "task=pick_at_xy")
    np.testing.assert_array_equal(read_episode(back / "episode_2.hdf5").actions, written[2].actions)


DOCS = Path(__file__).parents[3] / "docs/formats.md"


def train(folder: Path, *command: str) -> None:
    """Runs a command of the documents in `folder`, on the processor and without the network."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_robomimic_trains_as_documented(tmp_path: Path) -> None:
    own_module("robomimic.scripts.train")
    run(small(tmp_path / "demos"), tmp_path / "pick.hdf5", "robomimic")
    text = re.search(r"cat > bc.json <<END\n(.*?)\nEND\n", DOCS.read_text(), re.DOTALL)
    assert text is not None
    config = json.loads(text[1].replace("$PWD", str(tmp_path)))
    config["train"] |= {"num_epochs": 1, "batch_size": 4}
    config["experiment"] |= {"epoch_every_n_steps": 2, "save": {"every_n_epochs": 1}}
    (tmp_path / "bc.json").write_text(json.dumps(config))
    assert "\npython -m robomimic.scripts.train --config bc.json\n" in DOCS.read_text()
    train(tmp_path, sys.executable, "-m", "robomimic.scripts.train", "--config", "bc.json")
    assert list((tmp_path / "outputs/robomimic").rglob("*.pth"))


def test_lerobot_trains_as_documented(tmp_path: Path) -> None:
    own_module("lerobot.scripts.lerobot_train")
    run(small(tmp_path / "demos"), tmp_path / "pick_lerobot", "lerobot")
    command = re.search(r"^lerobot-train (.*)$", DOCS.read_text(), re.MULTILINE)
    assert command is not None
    few = ["--steps=2", "--batch_size=2", "--num_workers=0", "--policy.device=cpu", "--policy.pretrained_backbone_weights=null"]
    train(tmp_path, sys.executable, "-m", "lerobot.scripts.lerobot_train", *command[1].split(), *few)
    assert list((tmp_path / "outputs/act").rglob("model.safetensors"))
