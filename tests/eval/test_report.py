"""Tables, comparisons and maps from result folders on disk."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from eval import compare
from eval.report import Settings as ReportSettings
from eval.report import main
from eval.reports import curves, tables, trainings
from eval.reports.entries import collect, find
from eval.reports.evaluations import make_table
from eval.results import add_row, finish, last_line, load, load_rows
from eval.score import wilson
from whatwhere.errors import BadInput
from whatwhere.flags import sort
from whatwhere.settings import parse


def fill(folder, encoder, wins, *, task="pick_at_xy", version="0", seed=1, n=20, train_seed=0, relation=None, **conditions):
    """A result folder in which the first `wins` of `n` episodes succeed."""
    rng = np.random.default_rng(seed)
    for episode in range(n):
        won = episode < wins
        row = {
            "task": task, "version": version, "policy": "learned", "encoder": encoder, "checkpoint": f"{task}_{encoder}", "train_seed": train_seed,
            "seed": seed, "episode": episode, "init_hash": f"{seed:08x}{episode:08x}", "success": won, "failure": None,
            "position_error_cm": 0.5 + 0.01 * episode if won else 3.0 + episode, "is_relation_correct": relation, "steps": 40, "wall_s": 1.0, "video": None,
            "freezes": 0, "target_xy_m": [float(v) for v in rng.uniform(-0.15, 0.15, 2)], **conditions,
        }  # fmt: skip
        add_row(folder, row)
    about = conditions | {"task": task, "policy": "learned", "encoder": encoder, "checkpoint": f"{task}_{encoder}", "train_seed": train_seed, "seed": seed}
    return finish(folder, about | {"versions": {}, "command": "…"}, range(n))


@pytest.fixture
def folders(tmp_path):
    for encoder, wins in (("avg_late", 5), ("pixelwise", 17), ("cnn_avg", 6)):
        fill(tmp_path / encoder, encoder, wins)
    return tmp_path


def test_results_have_the_promised_form(tmp_path):
    results = fill(tmp_path, "pixelwise", 20)
    assert {"task", "encoder", "checkpoint", "sha256", "episodes", "success", "position_error_cm", "relation_rate", "versions", "command"} <= set(results)
    assert results == json.loads((tmp_path / "results.json").read_text())
    assert set(results["position_error_cm"]) == {"median", "p90", "ci95", "within_cm"}
    line = last_line({"success": {"rate": 0.94, "ci95": [0.8752, 0.9722]}, "position_error_cm": {"median": 0.6249}, "episodes": 100})
    assert line == "success 0.940 [0.875, 0.972] · position error 0.62 cm (median) · 100 episodes"


def test_rows_survive_a_torn_line_and_repeats(tmp_path):
    fill(tmp_path, "pixelwise", 2, n=3)
    path = tmp_path / "episodes.jsonl"
    rows = load_rows(tmp_path)
    path.write_text(path.read_text() + json.dumps(rows[0] | {"video": "videos/episode_0.mp4"}) + "\n" + '{"task": "pick_at')
    again = load_rows(tmp_path)
    assert [row["episode"] for row in again] == [0, 1, 2]
    assert again[0]["video"] == "videos/episode_0.mp4", "the later of two rows counts"
    path.write_text('{"task": "pick_at_xy"}\n')
    with pytest.raises(BadInput, match=r"line 1: episode: missing"):
        load_rows(tmp_path)


def test_table_with_baseline(folders):
    entries = collect(find(str(folders)), "avg_late")
    assert [entry.name for entry in entries] == ["pixelwise", "cnn_avg", "avg_late"], "best first"
    assert entries[0].p == pytest.approx(2 * 0.5**12)
    assert entries[0].p_holm == pytest.approx(4 * 0.5**12)
    assert entries[1].p == 1.0
    assert entries[2].p is None
    table = make_table(entries, "avg_late")
    assert "relation %" not in table.header, "a column without values is left out"
    text = tables.terminal(table)
    assert "<0.001" in text
    assert "Holm" in text
    assert "stalled %: episodes in which no joint and no object moved for at least 1 s." in text, "columns are explained under the table"
    assert "relation %" not in text, "and those that are left out are not"
    assert len({len(line) for line in text.splitlines()[:5]}) == 1, "columns line up"
    read = list(csv.DictReader(io.StringIO(tables.as_csv(table))))
    assert float(read[0]["success"]) == 0.85
    assert "pick\\_at\\_xy" in tables.latex(table)
    assert tables.latex(table).count(r"\\") == 4
    lines = tables.markdown(table).splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1


def test_an_interrupted_run_can_be_read(tmp_path):
    fill(tmp_path / "a", "pixelwise", 3, n=5)
    (tmp_path / "a" / "results.json").unlink()
    rows, results = load(tmp_path / "a")
    assert len(rows) == 5
    assert results["encoder"] == "pixelwise"


def test_report_writes_its_files(folders, tmp_path, capsys):
    document = tmp_path / "results.md"
    document.write_text("before\n<!-- begin:pick -->\nold\n<!-- end:pick -->\nafter\n")
    settings = ReportSettings((str(folders),), "avg_late", str(tmp_path / "report"), str(document), "pick", True)
    main(settings)
    text = document.read_text()
    assert text.startswith("before\n<!-- begin:pick -->\n| task |")
    assert text.endswith("<!-- end:pick -->\nafter\n")
    assert "old" not in text
    main(settings)
    assert document.read_text() == text, "rewriting is stable"
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.csv", "report.tex", "report.md", "spatial_error.png"}
    assert (tmp_path / "report" / "spatial_error.png").read_bytes().startswith(b"\x89PNG")


def test_curves_where_numbers_of_demonstrations_differ(tmp_path, monkeypatch):
    """A dot a training with its interval over starts, and a line through the means over training seeds; one number alone makes no curve."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda axis, x, y, **style: drawn.append((style["label"], [float(v) for v in y])))
    for num_demos, train_seed, wins in ((5, 0, 4), (25, 0, 18), (25, 1, 14)):
        fill(tmp_path / f"n{num_demos}_s{train_seed}", "pixelwise", wins, train_seed=train_seed, num_demos=num_demos, streams="3394c63d")
    fill(tmp_path / "untrained", "pixelwise", 10, num_demos=25, streams="random")
    fill(tmp_path / "other", "pixelwise", 10, task="stack_centered", num_demos=25, streams="3394c63d")
    main(ReportSettings((str(tmp_path),), None, str(tmp_path / "report"), None, None, True))
    assert (tmp_path / "report" / "success_by_demos.png").read_bytes().startswith(b"\x89PNG")
    success = dict(drawn[:2])
    assert success == {"pixelwise": [20.0, pytest.approx(80.0)], "pixelwise, untrained streams": [50.0]}
    assert len(drawn) == 4, "one task has a curve: two lines of success, two of error"
    drawn.clear()
    fill(tmp_path / "other_streams", "pixelwise", 6, num_demos=25, streams="0a1b2c3d")
    main(ReportSettings((str(tmp_path),), None, str(tmp_path / "report"), None, None, True))
    success = dict(drawn[:3])
    assert success["pixelwise, streams 3394c63d"] == [20.0, pytest.approx(80.0)]
    assert success["pixelwise, streams 0a1b2c3d"] == [30.0], "two sets of streams are two lines"


def drawn_lines(monkeypatch, folder, along):
    """Label, places and rates of each line of success that `curves.draw` draws from the results in `folder`."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda axis, x, y, **style: drawn.append((style["label"], [round(v) for v in x], [round(v) for v in y])))
    monkeypatch.setattr(curves, "_value", lambda results, kind: (100 * results["success"]["rate"], 0, 100) if kind == "success" else (None, None, None))
    assert curves.draw(collect(find(str(folder))), folder / "curve.png", along).read_bytes().startswith(b"\x89PNG")
    return drawn


def test_curves_where_latencies_differ(tmp_path, monkeypatch):
    """A column for each motion, from no latency on; corrections, another training latency and another number of demonstrations have lines of their own."""
    for latency, wins in ((None, 20), (2, 16), (4, 8)):
        late = {"latency": latency, "history": "moved, actions"} if latency else {}
        fill(tmp_path / f"still{latency}", "pixelwise", wins, num_demos=25, **late)
        fill(tmp_path / f"moving{latency}", "pixelwise", wins // 2, num_demos=25, motion="moving", speed=[4.0, 8.0], **late)
    assert drawn_lines(monkeypatch, tmp_path, curves.LATENCY) == [("pixelwise", [0, 2, 4], [100, 80, 40]), ("pixelwise", [0, 2, 4], [50, 40, 20])]
    assert not curves.has_curves(collect(find(str(tmp_path))), curves.DEMOS)
    fill(tmp_path / "unaware", "pixelwise", 2, num_demos=25, latency=2, trained_for="latency 0")
    fill(tmp_path / "corrected", "pixelwise", 18, num_demos=25, latency=4, history="moved, actions", corrections=50)
    drawn = drawn_lines(monkeypatch, tmp_path, curves.LATENCY)
    assert ("pixelwise, 50 corrections", [4], [90]) in drawn and ("pixelwise, trained for latency 0", [2], [10]) in drawn
    fill(tmp_path / "more", "pixelwise", 19, num_demos=50, latency=4, history="moved, actions")
    assert ("pixelwise, 50 demonstrations", [4], [95]) in drawn_lines(monkeypatch, tmp_path, curves.LATENCY)


def test_curves_over_demonstrations_do_not_mix_conditions(tmp_path, monkeypatch):
    for num_demos, wins in ((10, 10), (25, 18)):
        fill(tmp_path / f"both{num_demos}", "pixelwise", wins, num_demos=num_demos)
        fill(tmp_path / f"late{num_demos}", "pixelwise", wins // 5, num_demos=num_demos, latency=4)
        fill(tmp_path / f"without{num_demos}", "pixelwise", wins // 2, num_demos=num_demos, without="m")
    assert sorted(rates for _, _, rates in drawn_lines(monkeypatch, tmp_path, curves.DEMOS)) == [[10, 15], [25, 45], [50, 90]]


@pytest.mark.parametrize("changed", [{"fallback": "hold"}, {"fault": "black"}, {"action_latency": 2}])
def test_a_panel_of_curves_joins_no_two_conditions(tmp_path, changed):
    for num_demos in (10, 25):
        fill(tmp_path / f"plain_{num_demos}", "pixelwise", 18, num_demos=num_demos)
        fill(tmp_path / f"other_{num_demos}", "pixelwise", 2, num_demos=num_demos, **changed)
    assert [len(column) for column in curves._columns(collect(find(str(tmp_path))), curves.DEMOS).values()] == [2, 2]


@pytest.mark.parametrize("changed", [{"goal": "video"}, {"actions_from": "25 of stack_centered"}, {"history": "moved", "latency": 4}])
def test_a_line_of_curves_joins_no_two_kinds_of_policy(tmp_path, changed):
    late: dict[str, Any] = {"latency": 4} if "latency" in changed else {}
    for num_demos in (10, 25):
        fill(tmp_path / f"plain_{num_demos}", "pixelwise", 18, num_demos=num_demos, **late)
        fill(tmp_path / f"other_{num_demos}", "pixelwise", 2, num_demos=num_demos, **changed)
    names = list(curves._lines(collect(find(str(tmp_path)))).values())
    assert sorted(map(names.count, set(names))) == [2, 2]


def test_multiplied_demonstrations_are_a_condition_of_their_own(tmp_path, monkeypatch):
    """Never tested against, averaged or joined by a line with as many that were recorded."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda axis, x, y, **style: drawn.append((style["label"], [float(v) for v in y])))
    for seed in (0, 1):
        fill(tmp_path / f"recorded_{seed}", "pixelwise", 10, num_demos=200, train_seed=seed)
        fill(tmp_path / f"made_{seed}", "pixelwise", 18, num_demos=200, train_seed=seed, multiplied_from=10)
        fill(tmp_path / f"few_{seed}", "pixelwise", 4, num_demos=10, train_seed=seed)
    fill(tmp_path / "base", "avg_late", 2, num_demos=200)
    entries = collect(find(str(tmp_path)), "avg_late")
    assert [entry.p is None for entry in entries if entry.results.get("multiplied_from")] == [True, True]  # its baseline is another condition
    table = make_table(entries)
    place = table.header.index("demos")
    assert [cells[place] for cells in table.cells] == ["10", "10", "200", "200", "200", "10 multiplied to 200", "10 multiplied to 200"]
    pooled = trainings.make_table(entries)
    assert pooled is not None
    assert [(row["num_demos"], row["multiplied_from"], row["success"]) for row in pooled.records if row["policy"] == "pixelwise"] == [
        (10, None, pytest.approx(0.2)),
        (200, None, pytest.approx(0.5)),
        (200, 10, pytest.approx(0.9)),
    ]
    main(ReportSettings((str(tmp_path),), None, str(tmp_path / "report"), None, None, True))
    assert dict(drawn)["pixelwise, 10 multiplied"] and len({label for label, _ in drawn}) == 3
    alone = make_table(collect([tmp_path / "made_0", tmp_path / "made_1"]))
    assert "demos" in alone.header  # told even where it is the same in all


def test_report_refusals(folders, tmp_path):
    with pytest.raises(BadInput, match=r"did you mean avg_late\?"):
        collect(find(str(folders)), "avg_lat")
    with pytest.raises(BadInput, match="no result folder"):
        find(str(tmp_path / "nowhere*"))
    with pytest.raises(BadInput, match="give both"):
        ReportSettings((str(folders),), None, None, "README.md", None, False)
    document = tmp_path / "d.md"
    document.write_text("<!-- begin:other -->\n<!-- end:other -->\n")
    with pytest.raises(BadInput, match="blocks found: other"):
        tables.rewrite_block(document, "pick", "text")
    with pytest.raises(BadInput, match="no such folder"):
        load(tmp_path / "nowhere")


def test_compare(folders):
    a, b = (collect([folders / name])[0] for name in ("pixelwise", "avg_late"))
    result = compare.paired(a, b)
    assert result["success"]["difference"] == pytest.approx(0.6)
    text = compare.describe(a, b, result)
    assert "A − B +60.0 points" in text
    assert "McNemar p < 0.001" in text
    assert "20 common starts" in text
    assert "cm [−" in text


@pytest.mark.parametrize(
    ("other", "message"),
    [({"task": "stack_centered"}, "different tasks"), ({"version": "1"}, "different versions"), ({"seed": 2}, "no start in common")],
)
def test_compare_refuses(folders, tmp_path, other, message):
    fill(tmp_path / "other", "avg_late", 3, **other)
    a, b = (collect([folder])[0] for folder in (folders / "pixelwise", tmp_path / "other"))
    with pytest.raises(BadInput, match=message):
        compare.paired(a, b)


def test_compare_takes_two_words(folders):
    assert sort(["x y", "runs/b=2"], {"a": str, "b": str}, ("a", "b")).options == ["a=x y", "b=runs/b=2"]
    assert sort(["b=q", "x", "z=1"], {"a": str, "b": str}, ("a", "b")).options == ["b=q", "a=x", "z=1"]
    words = [sys.executable, "-m", "eval.compare", str(folders / "pixelwise"), str(folders / "avg_late")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "exact McNemar p < 0.001" in done.stdout
    done = subprocess.run([*words[:4], str(folders / "nothing")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    done = subprocess.run(words[:4], capture_output=True, text=True)
    assert done.returncode == 2
    assert "two result folders" in done.stderr


def test_a_task_without_a_position_error(tmp_path, capsys):
    for encoder, wins in (("avg_late", 5), ("pixelwise", 15)):
        folder = tmp_path / "rows" / encoder
        fill(folder, encoder, wins, task="robosuite/Door")
        bare = [json.dumps(row | {"position_error_cm": None, "target_xy_m": None}) for row in load_rows(folder)]
        (folder / "episodes.jsonl").write_text("\n".join(bare) + "\n")
    main(ReportSettings((str(tmp_path / "rows"),), "avg_late", str(tmp_path / "report"), None, None, True))
    printed = capsys.readouterr().out
    assert "error cm" not in printed and "no maps" in printed and "75.0" in printed
    assert "position error none" in last_line(load(tmp_path / "rows" / "pixelwise")[1])
    compare.main(compare.Settings(str(tmp_path / "rows" / "pixelwise"), str(tmp_path / "rows" / "avg_late")))
    assert "none recorded for common starts" in capsys.readouterr().out


def test_several_trainings_of_a_recipe(tmp_path, capsys):
    """A second table: mean over trainings, wider than any interval over starts where trainings differ, and the difference to the baseline."""
    for train_seed, wins in ((0, 18), (1, 10), (2, 14)):
        fill(tmp_path / "rows" / f"grid_{train_seed}", "pixelwise", wins, train_seed=train_seed, num_demos=10)
    for train_seed, wins in ((0, 4), (1, 2)):
        fill(tmp_path / "rows" / f"average_{train_seed}", "avg_late", wins, train_seed=train_seed, num_demos=10)
    fill(tmp_path / "rows" / "once", "pixelwise", 20, num_demos=25)
    document = tmp_path / "results.md"
    document.write_text("<!-- begin:x -->\n<!-- end:x -->\n")
    main(ReportSettings((str(tmp_path / "rows"),), "avg_late", str(tmp_path / "report"), str(document), "x", False))
    read = list(csv.DictReader((tmp_path / "report" / "trainings.csv").open()))
    assert [(row["policy"], row["num_demos"], row["trainings"], row["success_of_each"]) for row in read] == [
        ("pixelwise", "10", "3", "90 50 70"), ("avg_late", "10", "2", "20 10"),
    ]  # fmt: skip
    grid, average = read
    assert float(grid["success"]) == pytest.approx(0.7)
    assert float(grid["success_sd"]) == pytest.approx(0.2)
    assert float(grid["difference"]) == pytest.approx(0.55)
    assert average["difference"] == ""
    alone = wilson(14, 20)
    assert float(grid["success_high"]) - float(grid["success_low"]) > 1.2 * (alone[1] - alone[0])
    assert "90, 50, 70" in document.read_text() and "difference, points" in document.read_text()
    assert "wrote trainings.csv" in capsys.readouterr().out


def test_trained_and_untrained_streams_over_trainings(tmp_path):
    """Both are called pixelwise: a folder's name says which of them is the baseline."""
    for streams, wins in (("3394c63d", (18, 14)), ("random", (8, 10))):
        for train_seed in (0, 1):
            fill(tmp_path / f"{streams}_{train_seed}", "pixelwise", wins[train_seed], train_seed=train_seed, streams=streams)
    table = trainings.make_table(collect(find(str(tmp_path)), "random_0"), "random_0")
    assert table is not None
    assert [(record["streams"], record["difference"]) for record in table.records] == [("3394c63d", pytest.approx(0.35)), ("random", None)]


def test_a_baseline_over_the_same_streams(tmp_path):
    """Frozen is tested against frozen, unfrozen against unfrozen; what has no streams, against the best."""
    for name, encoder, streams, wins in (
        ("a", "pixelwise", "3394c63d", 18), ("b", "pixelwise", "3394c63d unfrozen", 17), ("c", "cnn_keypoints", None, 16),
        ("d", "avg_late", "3394c63d", 2), ("e", "avg_late", "3394c63d unfrozen", 9),
    ):  # fmt: skip
        for train_seed in (0, 1):
            fill(tmp_path / f"{name}{train_seed}", encoder, wins, streams=streams, train_seed=train_seed)
    entries = collect(find(str(tmp_path)), "avg_late")
    assert {entry.folder.name[0]: entry.difference["success"]["only_a"] for entry in entries if entry.difference} == {"a": 16, "b": 8, "c": 7}
    table = trainings.make_table(entries, "avg_late")
    assert table is not None
    differences = {(record["policy"], record["streams"]): record["difference"] for record in table.records}
    assert differences == {
        ("pixelwise", "3394c63d"): pytest.approx(0.8), ("pixelwise", "3394c63d unfrozen"): pytest.approx(0.4), ("cnn_keypoints", None): pytest.approx(0.35),
        ("avg_late", "3394c63d"): None, ("avg_late", "3394c63d unfrozen"): None,
    }  # fmt: skip


def test_what_is_not_one_recipe_is_not_pooled(tmp_path):
    """Two policies of one training seed, or without a start in common, are not trainings of one recipe."""
    for name, conditions in {"a": {}, "b": {}, "c": {"task": "stack_centered", "seed": 1}, "d": {"task": "stack_centered", "seed": 2, "train_seed": 1}}.items():
        fill(tmp_path / name, "pixelwise", 3, **conditions)
    assert trainings.make_table(collect(find(str(tmp_path)))) is None


def test_folders_are_found_whatever_their_names(tmp_path):
    for name in ("runs [2]", "a=b, c", "démos (copy)", "*"):
        fill(tmp_path / name / "x", "pixelwise", 3)
        (folder,) = find([str(tmp_path / name)])
        assert folder == tmp_path / name / "x"
        settings = parse("eval.conf", "report", ReportSettings, [f"folders={tmp_path / name}"])
        assert settings.folders == (str(tmp_path / name),)
    assert len(find([str(tmp_path / "**")])) == len(find([str(tmp_path / "?*")])) == 4


def test_an_unfinished_folder_is_said_to_be(tmp_path, capsys):
    fill(tmp_path / "whole", "pixelwise", 8)
    fill(tmp_path / "torn", "avg_late", 8)
    path = tmp_path / "torn" / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    main(ReportSettings(tuple(str(tmp_path / name) for name in ("whole", "torn")), None, str(tmp_path / "report"), None, None, False))
    assert f"Unfinished: {tmp_path / 'torn'} has 19 of 20 episodes." in capsys.readouterr().out
    assert (tmp_path / "report" / "report.md").read_text().count("Unfinished") == 1
