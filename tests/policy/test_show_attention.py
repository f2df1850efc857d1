"""`policy.show_words checkpoint=`: where words and patches attend in a policy, as figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from envs.demos.episodes import episode_paths, frame_pairs, read_episode
from policy.aligning.attention_figures import attention_in, drawn, sides
from policy.language.vocabulary import vocabulary_of
from policy.model import build
from policy.show_words import Settings, main
from policy.storage.checkpoint import load, save_pretrained
from policy.transforms import Affine
from tests.policy.small import config
from tests.policy.test_finetune import write_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def saved(folder: Path, **chosen: Any) -> Path:
    torch.manual_seed(0)
    made = config(**({"join": "cross_attention", "language": "recurrent", "vocabulary": vocabulary_of(["pick the red cube"]), "task_dim": 16} | chosen))
    normalisation = {"proprio": Affine.identity(made.own_dim), "actions": Affine.identity(7)}
    return save_pretrained(build(made), folder, task="pick_at_xy", normalisation=normalisation, training={"task_version": "0", "rendering": "fast"})


def settings(checkpoint: object, demos: object, out: Path, **changes: Any) -> Settings:
    words = {"checkpoint": checkpoint, "demos": demos, "out": out, "num_threads": 1} | changes
    return parse("policy.conf", "show_words", Settings, [f"{key}={value}" for key, value in words.items()])


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demos(tmp_path_factory.mktemp("demos"))


def test_two_figures_are_drawn(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = saved(tmp_path / "policy")
    main(settings(policy, demos, tmp_path / "out", episode=1, moments=2, instruction="pick the red cube"))
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / f"{name}.png") for name in ("words_to_patches", "patches_to_words")]
    for name in ("words_to_patches", "patches_to_words"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert min(picture.size) > 300 and len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50


def test_rows_are_words_and_columns_moments_and_cameras(demos: Path, tmp_path: Path) -> None:
    policy = load(saved(tmp_path)).policy.eval()
    frames = frame_pairs(read_episode(episode_paths(demos)[1]).frames, policy.config.frame_gap)  # type: ignore[arg-type]
    told = [attention_in(policy, frames[step], "pick the red cube") for step in (0, 8)]
    pictures = [frames[step, :, 1] for step in (0, 8)]
    figure = drawn(sides(told)["patches_to_words"], "s", told[0].words, pictures, ["step 0", "step 8"], ("a", "b"))
    grid = np.array(figure.axes[:16]).reshape(4, 4)
    assert [axis.get_title() for axis in grid[0]] == ["step 0\na", "step 0\nb", "step 8\na", "step 8\nb"]
    assert [axis.get_ylabel().split("\n")[0] for axis in grid[:, 0]] == ["pick", "the", "red", "cube"]
    assert sum(int(axis.get_ylabel().split("\n")[1].split()[0]) for axis in grid[:, 0]) == pytest.approx(100, abs=2), "all of the patches' attention"
    for (row, column), axis in np.ndenumerate(grid):
        picture, heat = axis.images
        np.testing.assert_array_equal(picture.get_array(), frames[(0, 8)[column // 2], column % 2, 1])
        np.testing.assert_array_equal(heat.get_array(), told[column // 2].of_patches[column % 2, row])
        assert heat.get_clim() == (0, max(one.of_patches.max() for one in told)), "one scale"


@pytest.mark.parametrize(
    ("chosen", "changes", "message"),
    [
        ({"join": "film"}, {}, "join=film, in which words and patches do not attend .*; needs points, cross_attention, .* or hierarchical"),
        ({}, {"demos": "null"}, "demos: missing"),
        ({}, {"episode": 3}, "episode=3: .* holds 3 episodes, the first is 0"),
        ({}, {"checkpoint": "null"}, "demos=.*: is for showing a policy; add checkpoint=FOLDER"),
        ({}, {"checkpoint": "null", "demos": "null", "instruction": "pick"}, "instruction=pick: is for showing a policy"),
    ],
)
def test_what_cannot_be_shown_is_refused(chosen: dict[str, Any], changes: dict[str, Any], message: str, demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        settings(**({"checkpoint": saved(tmp_path / "policy", **chosen), "demos": demos, "out": tmp_path / "out"} | changes))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"encoder": "avg_late"}, "encoder=avg_late averages the patches"),
        ({"frame_gap": 2}, r"episode_0.hdf5: cameras, pixels and frame_gap are .* 4\), the policy's .* 2\)"),
        ({"size": 40}, "pixels"),
    ],
)
def test_policies_that_do_not_fit_are_named(chosen: dict[str, Any], message: str, demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        main(settings(saved(tmp_path / "policy", **chosen), demos, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
