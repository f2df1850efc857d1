"""Every measured figure of the documents stands in what was recorded: rows, a block that a command writes, or the lab notes.

Tables between marks are made again from committed rows, byte for byte. In what people wrote, three kinds of figures are claims of a measurement: `96 of 100`,
`0.34 cm` (two decimals: nothing is built or set to a tenth of a millimetre), and percentages, which may be rounded. Such a figure must stand somewhere in the
record; that it stands there for the same thing is for people to see. Numbers without a unit cannot be told from settings, and are not looked at.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from eval.report import Settings
from eval.reports import tables, trainings
from eval.reports.entries import collect, find
from eval.reports.evaluations import make_table
from eval.results import load
from whatwhere.settings import parse

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "docs" / "lab.md"  # the record of what has no committed rows
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path != NOTES)]
BLOCK = re.compile(r"<!-- begin:(\S+) -->\n(.*?)\n<!-- end:\1 -->", re.DOTALL)
WRITES = re.compile(r"python -m eval\.report((?:[^\n]|\n      )*?into=(\S+) block=(\S+))")
CODE = re.compile(r"```.*?```|`[^`\n]*`|^    .*?$|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
CLAIM = re.compile(r"(?<![\w.,–/-])(?:(\d+) of (\d+)\b|(\d+\.\d\d) cm|(\d+(?:\.\d+)?) ?%)")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")

# What looks like a measurement and is none: (page, figure): why
SETTINGS = {
    ("evaluation.md", "3 of 255"): "a bound of the code, of a picture's numbers",
    ("evaluation.md", "10 of 1998"): "a method of a paper",
    ("fallbacks.md", "16 of 255"): "a bound of the code, of a picture's numbers",
}  # fmt: skip


def written() -> dict[tuple[str, str], list[str]]:
    """{(page, block): words of the command that writes it}, as the pages say."""
    found = {}
    for page in PAGES:
        for words, into, block in WRITES.findall(page.read_text(encoding="utf-8")):
            found[into, block] = shlex.split(words.replace("\\\n", " "))
    return found


@pytest.mark.parametrize(("into", "block"), sorted(written()))
def test_a_table_is_what_its_command_writes(into: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = parse("eval.conf", "report", Settings, written()[into, block])
    entries = collect(find(settings.folders), settings.baseline)
    made = [make_table(entries, settings.baseline), trainings.make_table(entries, settings.baseline)]
    text = "\n\n".join(tables.markdown(table) for table in made if table is not None)
    assert dict(BLOCK.findall((ROOT / into).read_text(encoding="utf-8")))[block] == text


def test_every_block_has_its_command() -> None:
    """That of `eval.bench NAME` is called bench_NAME."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block, _ in BLOCK.findall(text):
            name = str(page.relative_to(ROOT))
            assert (name, block) in written() or re.search(rf"python -m eval\.bench {block.removeprefix('bench_')}\b", text), f"{name}: {block}"


def recorded() -> set[str]:
    """The numbers, and counts as `96 of 100`, of rows, blocks and notes."""
    found: set[str] = set()
    texts = [NOTES.read_text(encoding="utf-8")]
    texts += [text for page in PAGES for _, text in BLOCK.findall(page.read_text(encoding="utf-8"))]
    for text in texts:
        found |= set(NUMBER.findall(text)) | set(re.findall(r"\d+ of \d+", text))
    for folder in sorted(path.parent for path in (ROOT / "docs" / "rows").rglob("episodes.jsonl")):
        rows, results = load(folder)
        error = results["position_error_cm"]
        found |= {f"{sum(bool(row['success']) for row in rows)} of {len(rows)}", f"{100 * results['success']['rate']:g}"}
        found |= {f"{error[name]:.2f}" for name in ("median", "p90") if error[name] is not None}
    return found


def claims(text: str) -> list[str]:
    """What the prose of a page claims to have measured."""
    prose = CODE.sub(" ", BLOCK.sub(" ", text))
    return [match[0] for match in CLAIM.finditer(prose)]


def stands(claim: str, record: set[str]) -> bool:
    found = CLAIM.fullmatch(claim)
    assert found is not None
    won, of, cm, percent = found.groups()
    return f"{won} of {of}" in record if won else (cm or percent) in record or percent in {f"{float(number):.0f}" for number in record if "." in number}


def test_what_the_prose_claims_was_recorded() -> None:
    record = recorded()
    strange = {}
    for page in PAGES:
        missing = {claim for claim in claims(page.read_text(encoding="utf-8")) if not stands(claim, record)}
        if missing := {claim for claim in missing if (page.name, claim) not in SETTINGS}:
            strange[page.name] = sorted(missing)
    assert not strange, f"neither in docs/rows, nor in a block, nor in docs/lab.md: {strange}"


def test_a_figure_that_stands_nowhere_is_found() -> None:
    record = {"96 of 100", "0.34", "12.5"}
    assert claims("so 96 of 100 (0.34 cm, 12.5 %), `7 of 9`\n\n    8 of 9\n") == ["96 of 100", "0.34 cm", "12.5 %"]
    assert [stands(claim, record) for claim in ("96 of 100", "97 of 100", "0.34 cm", "0.35 cm", "12.5 %", "13 %")] == [True, False, True, False, True, False]


def test_no_exception_is_left_over() -> None:
    for name, claim in SETTINGS:
        page = ROOT / name if name == "README.md" else ROOT / "docs" / name
        assert claim in claims(page.read_text(encoding="utf-8")), f"{name} no longer says {claim}"
