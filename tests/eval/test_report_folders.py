"""Which folders are in a table: each once, whole, of one policy, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.benches.settings import Settings as Bench
from eval.report import Settings, main
from eval.reports.entries import collect, find
from eval.reports.evaluations import make_table
from eval.results import load
from tests.eval.test_report import fill
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def test_a_folder_counts_once_whatever_it_is_called_and_links_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "disk" / "run", "pixelwise", 3, n=4)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "link").symlink_to(tmp_path / "disk" / "run")
    (tmp_path / "results" / "round").symlink_to(tmp_path / "results")  # leads into itself
    monkeypatch.chdir(tmp_path)
    assert find("results") == [Path("results/link")], "a link to a result folder is one"
    assert find(["results", "disk/run", str(tmp_path / "disk"), "disk/../disk/run", "results/*"]) == [Path("results/link")]


@pytest.mark.parametrize(("key", "value"), [("task", "stack_centered"), ("encoder", "avg_late"), ("version", "1"), ("train_seed", 3), ("policy", "expert")])
def test_rows_of_several_policies_are_no_evaluation(tmp_path: Path, key: str, value: object) -> None:
    fill(tmp_path, "pixelwise", 3, n=4)
    rows = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows[:3], rows[3] | {key: value}]))
    with pytest.raises(BadInput, match=rf"episodes.jsonl: has rows of {key}=.* \(episode 0\) and {key}={value!r} \(episode 3\)"):
        load(tmp_path)


def test_results_of_another_evaluation_than_the_rows_are_refused(tmp_path: Path) -> None:
    results = fill(tmp_path, "pixelwise", 3, n=4)
    (tmp_path / "results.json").write_text(json.dumps(results | {"task": "stack_centered"}))
    with pytest.raises(BadInput, match=r"results.json: task='stack_centered', but its rows say 'pick_at_xy'"):
        load(tmp_path)


def test_lines_that_would_read_the_same_name_their_folders(tmp_path: Path) -> None:
    for name, wins in (("two actions", 4), ("four actions", 3)):
        fill(tmp_path / name, "pixelwise", wins, n=4)
    fill(tmp_path / "other", "avg_late", 2, n=4)
    table = make_table(collect(find(str(tmp_path))))
    assert table.header[-1] == "folder" and [cells[-1] for cells in table.cells] == ["two actions", "four actions", ""]
    assert "folder" not in make_table(collect([tmp_path / "two actions", tmp_path / "other"])).header
    assert "folder" not in table.records[0], "numbers stay as they are"


@pytest.mark.parametrize("document", [None, "no marks"])
def test_a_document_without_the_block_is_refused_before_anything_is_written(tmp_path: Path, document: str | None) -> None:
    fill(tmp_path / "run", "pixelwise", 3, n=4)
    if document is not None:
        (tmp_path / "doc.md").write_text(document)
    with pytest.raises(BadInput, match=r"doc\.md"):
        main(parse("eval.conf", "report", Settings, [f"folders={tmp_path}/run", f"out={tmp_path}/out", f"into={tmp_path}/doc.md", "block=x"]))
    assert not (tmp_path / "out" / "report.csv").exists()


def test_a_benchmark_looks_for_its_block_before_it_measures(tmp_path: Path) -> None:
    from eval.bench import main as bench

    with pytest.raises(BadInput, match=r"doc\.md: no such file"):
        bench(parse("eval.conf", "bench", Bench, [f"into={tmp_path}/doc.md"]))
