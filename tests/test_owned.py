"""A folder of results has one owner at a time, and its record says whose it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from whatwhere.errors import BadInput
from whatwhere.files import atomic, read_json, write_json
from whatwhere.owned import RECORDS, claim, owned

ROOT = Path(__file__).resolve().parents[1]


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    program = "import sys, time; from whatwhere.owned import owned\nwith owned(sys.argv[1]): print('mine', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "out")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        with pytest.raises(BadInput, match="another process"), owned(tmp_path / "out"):
            pass
    finally:
        other.kill()
        other.wait()
    with owned(tmp_path / "out"):  # free again, whatever way the owner went
        pass


def test_owned_clears_what_killed_writers_left(tmp_path: Path) -> None:
    program = "import os, sys; from whatwhere.files import atomic\nwith atomic(sys.argv[1]) as path: path.write_text('half'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.txt")], cwd=ROOT, check=False)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.endswith(".tmp")
    with atomic(tmp_path / "b.txt") as mine:
        mine.touch()
        with owned(tmp_path):
            assert not leftover.exists() and mine.exists()
    assert not (tmp_path / "a.txt").exists()


def test_owned_refuses_what_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="out="), owned(tmp_path / "file"):
        pass


def test_claim_resumes_the_same_settings_only(tmp_path: Path) -> None:
    settings = {"kind": "b", "task": "a", "cameras": ("left", "right"), "seed": 1}
    claim(tmp_path, settings)
    claim(tmp_path, settings)
    with pytest.raises(BadInput, match=r"seed=1, now seed=2"):
        claim(tmp_path, {**settings, "seed": 2})
    assert json.loads((tmp_path / "settings.json").read_text())["seed"] == 1
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(BadInput, match="settings"):
        claim(tmp_path, settings)


@pytest.mark.parametrize("mine", RECORDS)
@pytest.mark.parametrize("theirs", RECORDS)
def test_the_folder_of_another_command_is_refused(tmp_path: Path, mine: str, theirs: str) -> None:
    """Also where both commands have the same settings, or keep them in files of other names."""
    claim(tmp_path, {"kind": "evaluation", "task": "a", "seed": 1}, theirs)
    before = sorted(path.name for path in tmp_path.iterdir())
    for settings in ({"kind": "policy", "task": "a", "seed": 1}, {"kind": "policy", "steps": 5}):
        with pytest.raises(BadInput, match=re.escape(f"out={tmp_path}: holds what another command wrote ('evaluation'); choose another out=")):
            claim(tmp_path, settings, mine)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_records_of_earlier_versions_that_do_not_say_whose_they_are(tmp_path: Path) -> None:
    settings = {"task": "a", "seed": 1, "size": 96}
    write_json(tmp_path / "settings.json", settings)
    claim(tmp_path, {"kind": "evaluation"} | settings)
    assert read_json(tmp_path / "settings.json") == settings, "as it was"
    with pytest.raises(BadInput, match=r"other settings \(seed=1, now seed=2\)"):
        claim(tmp_path, {"kind": "evaluation"} | settings | {"seed": 2})
    with pytest.raises(BadInput, match="another command"):
        claim(tmp_path, {"kind": "scenes", "scenes": 100, "held_out": 10, "seed": 1})


def test_every_command_that_claims_a_folder_says_what_it_writes() -> None:
    """Each in a word of its own: none takes another's folder for its own."""
    sources = {path: path.read_text() for package in ("policy", "envs", "eval") for path in sorted((ROOT / package).rglob("*.py"))}
    claiming = [path for path, text in sources.items() if re.search(r"(?<!def )\bclaim\(", text)]
    kinds = [kind for text in sources.values() if "claim(" in text or "def content(" in text for kind in re.findall(r'\{"kind": "([\w ]+)"', text)]
    assert len(claiming) == len(kinds) == len(set(kinds)) >= 12, (claiming, kinds)
    holding = {path for path, text in sources.items() if re.search(r"\bowned\(", text)}
    others = {ROOT / "policy/training/cache.py", ROOT / "eval/study.py"}  # a cache is everybody's; a study has a record of its own
    assert holding - others == set(claiming), "a folder that is held but not marked would be taken by the next command"
