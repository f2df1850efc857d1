"""What stands in a result folder, damaged or hostile: one line with file, line, field, found and valid; and nothing outside the folder is opened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.playing.player import Player
from eval.results import ROWS, load, load_rows, read_about, unfinished
from whatwhere.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
ROW: dict[str, Any] = {
    "task": "pick_at_xy", "version": "0", "policy": "expert", "encoder": None, "checkpoint": None, "train_seed": None, "seed": 200000, "episode": 0,
    "init_hash": "0" * 16, "success": True, "failure": None, "position_error_cm": 0.5, "is_relation_correct": None, "steps": 40, "wall_s": 1.2, "video": None,
    "freezes": 0, "target_xy_m": [0.1, -0.1], "something_new": [{"x": 1}],
}  # fmt: skip


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    for word in words:
        assert word in text, text


def rows(folder: Path, *lines: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / ROWS).write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return folder


CASES: list[tuple[Any, str]] = [
    ("[]", "line 2: needs an object, found []"),
    ("5", "line 2: needs an object, found 5"),
    ('{"task": "a" "seed": 1}', "line 2: not JSON"),
    ('{"task": "a", "task": "b"}', "line 2: the key 'task' stands twice"),
    ("[" * 10_000 + "]", "line 2: nested deeper than 64"),
    ({"position_error_cm": float("nan")}, "line 2: position_error_cm: needs a finite number, found nan"),
    ({"position_error_cm": "0.5"}, "line 2: position_error_cm: needs a finite number from 0 to 1000000000 or null, found '0.5'"),
    ({"position_error_cm": -1}, "line 2: position_error_cm: needs a finite number from 0"),
    ({"success": "true"}, "line 2: success: needs true or false, found 'true'"),
    ({"success": 1}, "line 2: success: needs true or false, found 1"),
    ({"seed": 10**30}, "line 2: seed: needs a number of at most 64 bits"),
    ({"episode": [0]}, "line 2: episode: needs a whole number from 0 on, found [0]"),
    ({"episode": 0.5}, "line 2: episode: needs a whole number"),
    ({"task": {"a": 1}}, "line 2: task: needs a text of 1 to 255 characters, found {'a': 1}"),
    ({"task": "\ud800"}, "line 2: task: needs text, found half a character"),
    ({"init_hash": ["a"]}, "line 2: init_hash: needs a text of 1 to 255 characters or null, found ['a']"),
    ({"failure": {"a": 1}}, "line 2: failure: needs a text"),
    ({"is_relation_correct": "yes"}, "line 2: is_relation_correct: needs true or false or null, found 'yes'"),
    ({"freezes": "x"}, "line 2: freezes: needs a whole number"),
    ({"target_xy_m": [0.1]}, "line 2: target_xy_m: needs a list of 2 or null, found [0.1]"),
    ({"target_xy_m": ["a", 0]}, "line 2: target_xy_m[0]: needs a finite number"),
    ({"video": 5}, "line 2: video: needs a text"),
    ({"num_demos": "25"}, "line 2: num_demos: needs a whole number"),
]


@pytest.mark.parametrize(("change", "told"), CASES, ids=range(len(CASES)))
def test_rows_of_episodes(change: Any, told: str, tmp_path: Path) -> None:
    assert load(rows(tmp_path / "whole", ROW, ROW | {"episode": 1}))[0][1]["something_new"] == [{"x": 1}]
    folder = rows(tmp_path / "rows", ROW, change if isinstance(change, str) else ROW | {"episode": 1} | change)
    refused(lambda: load_rows(folder), f"{folder / ROWS}, ", told)


def test_a_row_that_a_kill_cut_off_is_no_damage(tmp_path: Path) -> None:
    folder = rows(tmp_path / "rows", ROW, json.dumps(ROW)[:50], ROW | {"episode": 1}, json.dumps(ROW)[:-1])
    assert [row["episode"] for row in load_rows(folder)] == [0, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "needs an object, found []"),
        ('{"sha256": 5}', "sha256: needs a sha256 (64 hexadecimal digits) or null, found 5"),
        ('{"task": ["a"]}', "task: needs a text"),
        ('{"versions": {"torch": 2}}', "versions.torch: needs a text"),
        ('{"train_seed": "0"}', "train_seed: needs a whole number"),
        ('{"episodes": 1e30}', "episodes: needs a whole number from 0 on, found 1e+30"),
        ('{"episodes": NaN}', "episodes: needs a finite number"),
        ('{"command": "\\ud800"}', "command: needs text"),
        ("[" * 10_000, "nested deeper than 64"),
    ],
)
def test_results_json(text: str, told: str, tmp_path: Path) -> None:
    folder = rows(tmp_path / "rows", ROW)
    (folder / "results.json").write_text(text)
    refused(lambda: load(folder), f"{folder / 'results.json'}: ", told)
    refused(lambda: read_about(folder / "results.json"), told)
    (folder / "results.json").rename(folder / "settings.json")
    refused(lambda: unfinished(folder, [ROW]), f"{folder / 'settings.json'}: ", told)


@pytest.mark.parametrize("key", ["video", "trajectory"])
def test_a_path_in_a_row_does_not_lead_outside(key: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "elsewhere")  # whoever opens it hangs
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    player = Player("pick_at_xy", "expert", 0, out=str(tmp_path / "out"), video=1 if key == "video" else 0, trajectories=key == "trajectory")
    for place in ("../elsewhere", str(tmp_path / "elsewhere"), "link", "a/../../elsewhere", "a\0b"):
        refused(lambda place=place: player.is_done(ROW | {key: place}), "leads out of that folder")
    assert not player.is_done(ROW | {key: "videos/none.mp4"})


def test_all_rows_of_the_documents_load() -> None:
    folders = [path.parent for path in (ROOT / "docs" / "rows").rglob(ROWS)]
    assert len(folders) > 80
    for folder in folders:
        assert len(load_rows(folder)) >= 50 and unfinished(folder, load_rows(folder)) is None
        read_about(folder / "results.json")
