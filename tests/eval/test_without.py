"""Evaluations with a stream taken away: they say so, are never mixed with plain ones, and videos can show what each stream does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval import study
from eval.observers import picture
from eval.observers.influence import draw_influence
from eval.observers.video import VideoObserver
from eval.playing import policies, prepare
from eval.playing.identity import identity as identity_of
from eval.reports.entries import collect
from eval.reports.evaluations import make_table
from eval.rollout import rollout
from eval.run import Settings
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.eval.eval_fakes import FakeEnv, Reach
from tests.eval.test_report import fill
from tests.policy.small import config, observation, stirring
from whatwhere.command import parse
from whatwhere.errors import BadInput


def settings(*words: str) -> Settings:
    return parse("eval.conf", "run", Settings, list(words))


def saved(folder: Path, **changes: Any) -> Path:
    torch.manual_seed(0)
    chosen = config("cnn_avg", **changes)
    identity = {"proprio": Affine.identity(chosen.own_dim), "actions": Affine.identity(7)}
    return save_pretrained(stirring(build(chosen)), folder, task="pick_at_xy", normalisation=identity, training={"task_version": "0", "rendering": "fast"})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("checkpoints") / "both")


def prepared(checkpoint: Path, *words: str) -> tuple[Any, dict[str, Any]]:
    chosen = settings("task=pick_at_xy", f"checkpoint={checkpoint}", *words)
    player = prepare.prepare(chosen)
    return player, identity_of(chosen, player)


def test_what_is_taken_away_stands_in_rows_settings_and_the_folder(checkpoint: Path) -> None:
    plain, settings_of_plain = prepared(checkpoint)
    assert "without" not in settings_of_plain and "without" not in plain.row({}) and "streams_used" not in plain.row({})
    for stream in ("m", "p"):
        player, identity = prepared(checkpoint, f"without={stream}")
        assert identity["without"] == stream and player.row({})["without"] == stream and f"without-{stream}" in player.out
        acting = policies.learned(player.folder, "cpu", None, player.inference, player.without)
        acting.reset(1, 0)
        whole = policies.learned(player.folder, "cpu")
        whole.reset(1, 0)
        assert not np.array_equal(acting.act(observation(), {}), whole.act(observation(), {}))


def test_a_policy_of_one_stream_says_so(tmp_path: Path) -> None:
    player, _ = prepared(saved(tmp_path / "p", streams_used="p"))
    assert player.row({})["streams_used"] == "p"
    for stream, message in (("m", "there is no m to take away"), ("p", "nothing would be left")):
        with pytest.raises(BadInput, match=f"without={stream}: .*streams_used=p: {message}"):
            prepared(tmp_path / "p", f"without={stream}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["without=q"], "without=q: unknown; valid: m, p"),
        (["without=m", "policy=expert"], "policy=expert has no streams"),
        (["without=m", "inference=x.onnx"], "always sees both streams"),
        (["influence=true", "inference=x.onnx"], "always sees both streams"),
        (["influence=true", "video=0"], "influence=true: is shown in videos"),
        (["influence=true", "policy=zero"], "influence=true: is shown in videos of learned policies"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        settings("task=pick_at_xy", *words)


class Told(Reach):
    """Says at each query how much its streams move it."""

    asked = 0

    def influence(self) -> dict[str, float]:
        self.asked += 1
        return {"m": 0.01 * self.asked, "p": 0.5}


def test_a_video_shows_the_influence_of_each_stream_and_changes_no_row(tmp_path: Path) -> None:
    drawn: list[Any] = []
    policy = Told()
    observer = VideoObserver(tmp_path / "with", "told", influence=True)
    compose = observer._compose
    observer._compose = lambda outcome: drawn.append(compose(outcome)) or drawn[-1]  # type: ignore[method-assign]
    row = rollout(FakeEnv(), policy, 5, 0, [observer])
    plain = rollout(FakeEnv(), Told(), 5, 0, [VideoObserver(tmp_path / "without", "told")])
    assert {**row, "wall_s": 0} == {**plain, "wall_s": 0} and policy.asked > 1
    assert [step for step, _ in observer.influence] == sorted({step for step, _ in observer.influence}) and observer.influence[0][0] == 0
    corner = drawn[-1][picture.SCENE[1] - 116 : picture.SCENE[1] - 8, picture.SCENE[0] - 232 : picture.SCENE[0] - 8]
    assert (corner == picture.YELLOW).all(axis=-1).any() and (corner == picture.GREEN).all(axis=-1).any(), "a bar of each"


def test_the_longer_bar_is_of_the_stream_that_moves_more() -> None:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (picture.WIDTH, picture.HEIGHT))
    draw_influence(ImageDraw.Draw(image), [(0, {"m": 0.0, "p": 0.1}), (5, {"m": 0.02, "p": 0.08})], 40)
    pixels = np.asarray(image)
    yellow, green = ((pixels == colour).all(axis=-1).sum() for colour in (picture.YELLOW, picture.GREEN))
    assert green > yellow > 0
    draw_influence(ImageDraw.Draw(image), [], 40)  # nothing was asked yet


def test_tables_keep_them_apart(tmp_path: Path) -> None:
    kinds: Any = (("plain", {}), ("m", {"without": "m"}), ("p", {"without": "p"}), ("only", {"streams_used": "p"}))
    for name, told in kinds:
        fill(tmp_path / name, "pixelwise", 10, **told)
    entries = collect(sorted(tmp_path.iterdir()), "pixelwise")
    assert {entry.folder.name: entry.name for entry in entries} == {"plain": "pixelwise", "m": "pixelwise", "p": "pixelwise", "only": "pixelwise:p"}
    assert len({entry.group for entry in entries}) == 3
    assert "without" in make_table(entries).header
    assert "without" not in json.loads((tmp_path / "plain" / "results.json").read_text())


def test_a_study_takes_streams_away_from_those_that_see_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study=tasks", "study.tasks=pick_at_xy", "study.without=[null,m]", "study.perturbations=[null,light]", f"out={tmp_path}", "plan=true"]
    words += ["study.methods={pixelwise: {}, only: {encoder: pixelwise, streams_used: p}}", "study.baseline=pixelwise:p"]
    study.main(parse("eval.conf", "study", study.Settings, words))
    cells = {("only" if "_only_" in line else "both"): line.split(" && ") for line in capsys.readouterr().out.splitlines() if "policy.finetune" in line}
    plays = {name: [("without=m" in word, "perturbation=light" in word) for word in words[1:]] for name, words in cells.items()}
    assert "streams_used=p" in cells["only"][0] and plays["only"] == [(False, False), (False, True)]
    assert plays["both"] == [(False, False), (True, False), (False, True), (True, True)]
    assert len({word.rsplit("out=", 1)[1] for words in cells.values() for word in words[1:]}) == 6
