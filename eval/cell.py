"""`python -m eval.cell outputs/study/cells/NAME.json`: trains and evaluates one policy of a study, as a worker of a cluster does. It resumes where it stopped.

Its output goes to NAME.log beside the file. While another process runs the same cell, on whatever machine, it waits. Finished work is not repeated.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

from eval.launching.carrying import carry_out
from eval.launching.job import read_job
from eval.launching.process import OF_A_SIGNAL, Died, begin
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.kinds import Place
from whatwhere.options import options


@options
class Settings:
    """What `eval/conf/cell.yaml` describes."""

    job: Annotated[str, Place("a file")]


def main(settings: Settings) -> None:
    job = read_job(settings.job)
    check_writable("job", job.place)
    begin()
    try:
        print(carry_out(job, lambda line: print(line, flush=True), lost=lambda: os._exit(OF_A_SIGNAL + 9)))
    except Died as error:
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(OF_A_SIGNAL + 9) from None  # as if this process itself had been killed: whoever started it starts it again


if __name__ == "__main__":
    command("eval.conf", "cell", Settings, main, bare=("job",))
