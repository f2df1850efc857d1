"""`python -m tests.eval.fake_cell FILE`: `eval.cell` as it is, but that its commands make up what they leave behind."""

from __future__ import annotations

import os
from pathlib import Path

from eval import cell
from eval.launching import carrying
from tests.eval.fake_study import run
from whatwhere.command import command

if __name__ == "__main__":
    with Path(os.environ["FAKE_PIDS"]).open("a") as file:
        file.write(f"{os.getpid()}\n")
    carrying.run = run
    command("eval.conf", "cell", cell.Settings, cell.main, bare=("job",))
