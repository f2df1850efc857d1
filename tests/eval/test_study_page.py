"""The page of a study, as files and in a real browser: whole, escaped, silent, readable when wide and narrow, and playable."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.video import VideoFile
from eval.observers.video import ENCODING
from eval.report import Settings, main
from eval.reports import study_page
from eval.study import Settings as Study
from tests.envs.teleop.driver import browser, until
from tests.eval.test_report import fill
from whatwhere.command import parse
from whatwhere.errors import BadInput

HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'


def settings(*words: str) -> Settings:
    return parse("eval.conf", "report", Settings, list(words))


def filmed(folder: Path, *episodes: int) -> None:
    """Films for some episodes of a result folder."""
    rows = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    rng = np.random.default_rng(0)
    for episode in episodes:
        rows[episode]["video"] = f"videos/episode_{episode}.mp4"
        with VideoFile(folder / rows[episode]["video"], 48, 112, 20, ENCODING) as video:
            video.write(rng.integers(0, 256, (30, 48, 112, 3), np.uint8))
    (folder / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for encoder, wins, n in (("pixelwise", 18, 10), ("avg_late", 5, 10), ("pixelwise", 12, 5)):
        fill(folder / f"{encoder}_{n}", encoder, wins, num_demos=n, instruction=HOSTILE, streams="<b>")
    filmed(folder / "pixelwise_10", 0, 1, 18, 19)
    filmed(folder / "avg_late_10", 2)
    (folder / "avg_late_10" / "videos" / "episode_2.mp4").write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def page(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    main(settings(f"folders={study}", "baseline=avg_late", f"out={out}", "page=true"))
    return out / "page.html"


def test_it_is_one_file_that_asks_for_nothing(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) <= study_page.MOST
    assert not re.findall(r"""(?:src|href|poster)=["'](?!data:|#)""", text) and "url(" not in text and "://" not in text
    assert HOSTILE not in text and "<b>" not in text and "&lt;b&gt;" in text, "what comes from rows is text"
    assert text.count("<video") == 3 and "1 video that the rows name could not be read (missing, or not whole): " in text
    assert "avg_late_10/videos/episode_2.mp4.<" in text, "it is named"
    assert "Paired" not in text and "common starts, p" in text and "python -m eval.report" in text and "train_seed" in text
    assert text.count("data:image/png") == 2, "maps and curves"
    assert {path.suffix for path in page.parent.iterdir()} == {".html", ".png", ".csv", ".tex", ".md"}, "nothing is left over"


def test_it_is_made_the_same_again(page: Path, study: Path) -> None:
    before = page.read_bytes()
    main(settings(f"folders={study}", "baseline=avg_late", f"out={page.parent}", "page=true"))
    assert page.read_bytes() == before


def test_what_does_not_fit_is_made_smaller_or_left_out_and_told(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    words = (f"folders={study}", f"out={tmp_path}", "page=true", "pictures=false", "videos=4")
    main(settings(*words))
    whole = (tmp_path / "page.html").stat().st_size
    assert "4 videos)" in capsys.readouterr().out
    main(settings(*words[:-1], "videos=0"))
    bare = (tmp_path / "page.html").stat().st_size
    monkeypatch.setattr(study_page, "MOST", whole - 20_000)
    main(settings(*words))
    said, small = capsys.readouterr().out, (tmp_path / "page.html").stat().st_size
    assert small <= whole - 20_000 and "Videos are made smaller for the page's size" in said and "4 videos)" in said
    monkeypatch.setattr(study_page, "MOST", bare + 22_000 + (small - bare) // 2)
    main(settings(*words))
    (count,) = re.findall(r"(\d) videos of 4 left out for the page's size\.", capsys.readouterr().out)
    assert (tmp_path / "page.html").stat().st_size <= study_page.MOST and (tmp_path / "page.html").read_text().count("<video") == 4 - int(count) > 0


def test_a_page_needs_a_folder() -> None:
    with pytest.raises(BadInput, match="page=true: is written into a folder; leave out=null out"):
        settings("page=true", "out=null")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it(page: Path, chromium: Any, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    shown, said, asked = context.new_page(), [], []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url[:20]))
    shown.goto(page.as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs out of the page"
    assert shown.evaluate("window.hurt") is None
    back = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", back))) < 80) == (scheme == "dark")
    first = "#tables tbody tr:first-child td[data-name='success %']"
    shown.focus("#tables th:has-text('success %') button")
    shown.keyboard.press("Enter")
    assert shown.text_content(first).startswith("25.0")
    shown.keyboard.press("Enter")
    assert shown.text_content(first).startswith("90.0")
    assert shown.get_attribute("#tables th:has-text('success %')", "aria-sort") == "descending"
    clips = shown.locator("article:has-text('pixelwise · demos 10') .clips li")
    outcomes = [clips.nth(i).locator("dd").nth(1).text_content() for i in range(clips.count())]
    assert outcomes == ["failure", "failure", "success"]
    video = clips.first.locator("video")
    video.scroll_into_view_if_needed()
    box, row = video.bounding_box(), clips.first.bounding_box()
    assert box["width"] > (600 if width > 1000 else 300) and row["width"] <= width
    video.focus()
    shown.keyboard.press("Space")
    until(lambda: video.evaluate("video => video.currentTime") > 0.2, "a film that plays", 30)
    shown.locator("summary").last.focus()
    shown.keyboard.press("Enter")
    assert shown.locator("details[open] tbody tr").count() == 20
    assert not said, said
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    context.close()


def test_what_make_study_says_is_understood() -> None:
    """Two policies of ten demonstrations, 25 starts each, and a page of them."""
    target = (Path(__file__).parents[2] / "Makefile").read_text().partition("\nstudy: setup\n")[2].partition("\n\n")[0]
    words = {module: shlex.split(rest) for module, rest in re.findall(r"-m (eval\.\w+) (.*)", target.replace("$(STUDY)", "small").replace("$(ARGS)", ""))}
    plan = parse("eval.conf", "study", Study, words["eval.study"])
    assert [(cell.task, cell.method, cell.num_demos) for cell in plan.cells()] == [("pick_at_xy", "pixelwise", 10), ("pick_at_xy", "avg_late", 10)]
    assert (plan.episodes, plan.video, plan.jobs, plan.demos) == (25, "failures", 2, "small/demos")
    report = settings(*words["eval.report"])
    assert (report.folders, report.baseline, report.page) == (("small/rows",), plan.study.baseline, True)
    assert f"{report.out}/page.html" in target.replace("$(STUDY)", "small")
