"""Cells as jobs of Slurm, by submitit; its `local` cluster runs them as processes of this machine."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Self

from eval.launching import elsewhere
from eval.launching.job import FOLDER, Job
from eval.launching.process import Died, is_ending
from whatwhere.errors import BadInput, Failed, choose

LOOK_S = 1.0
SHARED = ("timeout_min", "mem_gb", "nodes", "gpus_per_node", "cpus_per_task", "tasks_per_node", "name")  # of submitit's parameters; others are Slurm's own
HOURS = 4  # unless `timeout_min` or `time` is given; submitit's own default is five minutes


class OnSlurm:
    """`slurm`: parameters of submitit's AutoExecutor, those of Slurm's with or without `slurm_` before them, and `cluster`."""

    where = "slurm"

    def __init__(self, settings: Any) -> None:
        given = dict(settings.slurm)
        self.cluster = choose("slurm.cluster", str(given.pop("cluster", "slurm")), ("slurm", "local"))
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise BadInput("launcher=slurm: there is no sbatch here; start the study on a machine that has it, or run jobs here: slurm.cluster=local")
        own = {"name": "whatwhere", "cpus_per_task": settings.cpus} | ({"gpus_per_node": int(settings.gpus)} if settings.gpus else {})
        own |= {} if {"time", "slurm_time", "timeout_min"} & set(given) else {"timeout_min": 60 * HOURS}
        self.parameters = own | {key if key in SHARED or key.startswith("slurm_") else f"slurm_{key}": value for key, value in given.items()}
        self.folder = Path(settings.out) / FOLDER / "slurm"
        self._submitting = threading.Lock()

    def __enter__(self) -> Self:
        import submitit

        self._executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        try:
            self._executor.update_parameters(**self.parameters)
        except (NameError, AssertionError, TypeError, ValueError) as error:
            raise BadInput(f"slurm: {' '.join(str(error).split())}") from None
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self, job: Job) -> str:
        from submitit.core.utils import FailedSubmissionError, UncompletedJobError

        try:
            with self._submitting:  # an executor is one thread's at a time
                task = self._executor.submit(elsewhere.run_cell, elsewhere.CELL, str(job.file), job.folder)
        except FailedSubmissionError as error:
            raise Failed(f"Slurm did not take the job: {' '.join(str(error).split())[:300]}") from None
        while not task.done():
            if is_ending():
                task.cancel()
                raise Failed("interrupted")
            time.sleep(LOOK_S)
        try:
            return elsewhere.told(task.result())
        except UncompletedJobError as error:
            raise Died(f"Slurm's job {task.job_id} ended without an answer ({_state(task)}; {str(error).splitlines()[0]})") from None

    def end(self) -> None:
        """Each cell's thread cancels its job."""


def _state(task: Any) -> str:
    with contextlib.suppress(OSError, RuntimeError):
        return str(task.state)
    return "UNKNOWN"
