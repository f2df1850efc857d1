"""`python -m tests.eval.fake_study key=value …`: `eval.study` as it is, but that its commands make up what they leave behind.

`python -m tests.eval.fake_study cell MODULE key=value …` is such a command; it has a child of its own, as `eval.run` has its workers. On a cluster workers
run `tests.eval.fake_cell`.
`FAKE_PIDS` names the file in which they say who they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from eval import study
from eval.launching import carrying, elsewhere, process
from tests.eval.test_report import fill
from whatwhere.command import command
from whatwhere.owned import owned
from whatwhere.parent import child_environment, end_with_starter

CHILD = "from whatwhere.parent import end_with_starter; end_with_starter(); import time; time.sleep(120)"


def cell(module: str, options: dict[str, str]) -> None:
    end_with_starter()
    child = subprocess.Popen([sys.executable, "-c", CHILD], env=child_environment())
    with Path(os.environ["FAKE_PIDS"]).open("a") as file:
        file.write(f"{os.getpid()}\n{child.pid}\n")
    with owned(options["out"]):
        time.sleep(float(os.environ.get("FAKE_DELAY", "0")))
        if module == "eval.run":
            policy = Path(options["checkpoint"]).name  # task_method_n…_s…
            encoder = policy.removeprefix(f"{options['task']}_").rpartition("_n")[0]
            wins = {"pixelwise": 4, "avg_late": 1}.get(encoder, 4)
            seed = int(policy.rpartition("_s")[2])
            fill(
                Path(options["out"]), encoder, wins, task=options["task"], n=int(options["episodes"]), seed=int(options["seed"]), train_seed=seed, num_demos=25
            )
    child.kill()
    child.wait()


def run(words: Sequence[str], log: Path, folder: str | None = None) -> str:
    return process.run(["tests.eval.fake_study", "cell", *words], log, folder)


if __name__ == "__main__":
    if sys.argv[1] == "cell":
        cell(sys.argv[2], dict(word.split("=", 1) for word in sys.argv[3:]))
    else:
        carrying.run = study.run = run
        elsewhere.CELL = "tests.eval.fake_cell"
        command("eval.conf", "study", study.Settings, study.main)
