"""`python -m policy.align`, and a policy that is told by it where things lie: on small scenes and small streams, without a simulator."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from policy.agent import Agent
from policy.align import main as align
from policy.aligning.captions import caption, tell, vocabulary
from policy.aligning.settings import Settings
from policy.finetune import main as finetune
from policy.model import build_streams
from policy.probing.named import read_named
from policy.shapes import cell_centres
from policy.show_words import Settings as ShowWords
from policy.show_words import main as show_words
from policy.storage.aligned import find_alignment, load_alignment
from policy.storage.checkpoint import load, save_streams
from policy.training.aligned import streams_of
from tests.policy.aligning_scenes import draw_scenes
from tests.policy.small import config, observation
from tests.policy.test_finetune import settings as finetune_settings
from tests.policy.test_finetune import write_demos
from whatwhere.errors import BadInput
from whatwhere.settings import parse


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_scenes(tmp_path_factory.mktemp("named") / "pick_at_xy", 60, 16)


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("streams")
    digest = save_streams(build_streams(config()), root, config())
    return root / "streams" / digest[:16]


def settings(scenes: Path, streams: Path, out: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {"scenes": scenes, "streams": streams, "out": out, "steps": 6, "batch": 4, "among": 8, "num_threads": 1, "device": "cpu"}
    return parse("policy.conf", "align", Settings, [f"{name}={value}" for name, value in (given | changes).items()])


@pytest.fixture(scope="module")
def aligned(scenes: Path, streams: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "out"
    align(settings(scenes, streams, out, steps=250, batch=16))
    return out


def test_words_find_the_patch_where_the_thing_lies(aligned: Path) -> None:
    rows = json.loads((aligned / "metrics.json").read_text())
    meant = [row for row in rows if row["measured"] == "places" and row["split"] == "train" and row["thing"] == "meant"]
    assert len(meant) == 2 and min(row["named"] for row in meant) > 0.8, "of three things, by streams that were never trained; chance is a third"
    assert max(row["median_px"] for row in meant) < 4
    pictures = rows[0]
    assert pictures["among"] == 8 and pictures["groups"] == 2 and pictures["top1_text"] > 2 * pictures["chance"]
    assert {"gap", "variance_pictures", "variance_texts", "variance_ratio", "gap_ratio", "matched_similarity", "mean_similarity"} <= set(pictures)
    assert not (aligned / "state.safetensors").exists()


def test_which_thing_is_named_says_nothing_of_what_to_do(aligned: Path) -> None:
    """What does not point must be the same for every thing: a policy that was only shown the red one hears nothing new when told another."""
    language = load_alignment(aligned)[0].language
    words = language(torch.stack([language.code(f"pick up the {name}") for name in ("red cube", "blue ball", "green cube")]))
    assert torch.equal(words.pooled[0], words.pooled[1]) and torch.equal(words.pooled[0], words.pooled[2])
    assert words.queries is not None and (words.queries[0, 0] - words.queries[1, 0]).norm() > 1
    two = language(torch.stack([language.code("put the red cube left of the blue ball"), language.code("left of the blue ball put the red cube")]))
    assert two.queries is not None
    assert torch.nn.functional.cosine_similarity(two.queries[0], two.queries[1], dim=-1).min() > 0.9, "whatever the order, who is who is told"


def test_a_killed_run_goes_on_with_the_same_result(scenes: Path, streams: Path, tmp_path: Path) -> None:
    from policy.aligning import loop

    whole = align_to(scenes, streams, tmp_path / "whole")
    save = loop.save_state

    def stop(*args: Any, **options: Any) -> None:
        save(*args, **options)
        if args[1] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_state", stop)
        with pytest.raises(KeyboardInterrupt):
            align_to(scenes, streams, tmp_path / "killed")
    assert align_to(scenes, streams, tmp_path / "killed") == whole
    with pytest.raises(BadInput, match="other settings"):
        align(settings(scenes, streams, tmp_path / "killed", steps=7))


def align_to(scenes: Path, streams: Path, out: Path) -> bytes:
    align(settings(scenes, streams, out, save_every=3))
    return (out / "model.safetensors").read_bytes()


def test_the_stream_can_learn_too(scenes: Path, streams: Path, tmp_path: Path) -> None:
    align(settings(scenes, streams, tmp_path, unfreeze=True, steps=2))
    beside = list(tmp_path.glob("streams/*/config.json"))
    assert len(beside) == 1 and beside[0].parent.name != streams.name
    assert streams_of(str(tmp_path), None) == beside[0].parent
    with pytest.raises(BadInput, match="words were aligned with streams"):
        streams_of(str(tmp_path), str(streams))


def test_sentences_name_what_lies_there(scenes: Path) -> None:
    data = read_named(scenes)
    said = tell(data, np.arange(10), np.random.default_rng(0))
    assert len(said.sentences) == 30
    for sentence, picture, meant, other in zip(said.sentences, said.picture, said.meant, said.other, strict=True):
        assert data.name(data.kinds[picture, meant]) in sentence
        assert other < 0 or (other != meant and data.name(data.kinds[picture, other]) in sentence)
    words = caption(data, 0).split()
    assert words[:4] == ["from", "left", "to", "right"] and words.count("a") == 3
    columns = [data.places[0, 0, [data.name(kind) for kind in data.kinds[0]].index(" ".join(words[i : i + 2])), 0] for i in (5, 8, 11)]
    assert columns == sorted(columns)
    everything, names = vocabulary(data)
    assert names == ("ball", "blue", "cube", "green", "red") and set(names) < set(everything) and "grab" not in everything


def test_a_policy_is_told_where_things_lie(aligned: Path, streams: Path, tmp_path: Path) -> None:
    write_demos(tmp_path / "demos")
    out = finetune(finetune_settings(tmp_path / "demos", tmp_path / "out", steps=3, align=aligned, streams=streams, mirror="false"))
    loaded = load(out)
    policy, model = loaded.policy, load_alignment(aligned)[0]
    assert (policy.config.encoder, policy.config.language, policy.config.join, policy.config.streams_used) == ("all_patches_late", "aligned", "similarity", "p")
    assert policy.config.names == ("ball", "blue", "cube", "green", "red") and len(loaded.config["training"]["aligned"]) == 64
    for name, weight in model.language.state_dict().items():
        assert torch.equal(policy.language.state_dict()[name], weight), "play taught it, demonstrations do not change it"
    agent = Agent(policy, loaded.normalisation)
    agent.act(observation() | {"instruction": "pick up the red cube"})
    look = agent.attention()
    assert look is not None and look.keypoints.shape == (2, 2, 2) and look.heat.shape == (2, 4, 4)


def test_the_figures_are_drawn(aligned: Path, scenes: Path, streams: Path, tmp_path: Path) -> None:
    words = [f"align={aligned}", f"scenes={scenes}", f"streams={streams}", f"out={tmp_path}", "shown=2", "points=30", "num_threads=1"]
    show_words(parse("policy.conf", "show_words", ShowWords, words))
    for name in ("maps.png", "tsne.png"):
        with Image.open(tmp_path / name) as picture:
            colours = picture.convert("RGB").getcolors(1 << 24)
            assert min(picture.size) > 200 and colours is not None and len(colours) > 50


def test_keypoints_near_what_is_named_learn_and_its_place_does_not(aligned: Path, streams: Path, tmp_path: Path) -> None:
    write_demos(tmp_path / "demos")
    given = {"align": aligned, "streams": streams, "mirror": "false", "join": "nearby"}
    one, more = (finetune(finetune_settings(tmp_path / "demos", tmp_path / f"out{steps}", steps=steps, **given)) for steps in (1, 4))
    before, after = (load(out).policy for out in (one, more))
    known = set(load_alignment(aligned)[0].join.state_dict())
    for join, later in zip(before.joins, after.joins, strict=True):
        for (name, weight), other in zip(join.state_dict().items(), later.state_dict().values(), strict=True):
            assert torch.equal(weight, other) == (name in known), name
    join = after.joins[0]
    n = join.grid[0] * join.grid[1]  # type: ignore[operator, index]
    similar, positions = torch.zeros(1, 2, n), cell_centres(join.grid)  # type: ignore[arg-type]
    similar[0, 0, 0] = similar[0, 1, n - 1] = 9.0
    near = join.near(similar, positions)[0]  # type: ignore[operator]
    assert near.sum(-1).tolist() == [4, 4] and near[0, 0] and near[1, n - 1] and not (near[0] & near[1]).any(), "corners have three neighbours"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"encoder": "cnn_avg"}, "align=.* brings encoder=all_patches_late"),
        ({"join": "film"}, "brings join=similarity"),
        ({"unfreeze": "true"}, "unfreeze=true"),
        ({"align": "null", "language": "aligned"}, "language=aligned: needs align=FOLDER"),
    ],
)
def test_what_contradicts_an_alignment_is_refused(given: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told):
        finetune_settings(tmp_path, tmp_path / "out", **({"align": tmp_path} | given))  # type: ignore[arg-type]


def test_bad_folders_are_named(scenes: Path, streams: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"align=nowhere.*policy\.align"):
        find_alignment("nowhere")
    with pytest.raises(BadInput, match=r"among=17: .* holds out 16 scenes"):
        align(settings(scenes, streams, tmp_path / "out", among=17))
    larger = draw_scenes(tmp_path / "larger", 10, 8, size=64)
    with pytest.raises(BadInput, match="pictures of 64 px, the streams need 32 px"):
        align(settings(larger, streams, tmp_path / "out"))
    assert dataclasses.replace(settings(scenes, streams, tmp_path / "out"), places=0.0).places == 0
