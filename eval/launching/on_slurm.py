"""Cells as jobs of Slurm, by submitit; its `local` cluster runs them as processes of this machine."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from eval.launching import elsewhere
from eval.launching.job import FOLDER, Job
from eval.launching.process import Died, is_ending
from whatwhere.errors import BadInput, Failed, choose, did_you_mean

LOOK_S = 1.0
STDERR = 2
QUEUE_S = 20.0  # so often is Slurm asked which jobs it has, once for all cells
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
        for name, value in given.items():
            if isinstance(value, int | float) and not 0 <= value < math.inf:
                raise BadInput(f"slurm.{name}={value}: needs a number from 0 on")
        own = {"name": "whatwhere", "cpus_per_task": settings.cpus} | ({"gpus_per_node": int(settings.gpus)} if settings.gpus else {})
        own |= {} if {"time", "slurm_time", "timeout_min"} & set(given) else {"timeout_min": 60 * HOURS}
        self.parameters = own | {key if key in SHARED or key.startswith("slurm_") else f"slurm_{key}": value for key, value in given.items()}
        self.folder = Path(settings.out) / FOLDER / "slurm"
        self._submitting, self._asking = threading.Lock(), threading.Lock()
        self._queue: set[str] = set()
        self._asked = -math.inf  # when, by time.monotonic

    def __enter__(self) -> Self:
        import submitit

        self._executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        try:
            self._executor.update_parameters(**self.parameters)
        except (NameError, AssertionError, TypeError, ValueError) as error:
            raise BadInput(_refused(error)) from None
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self, job: Job) -> str:
        from submitit.core.utils import FailedSubmissionError, UncompletedJobError

        try:
            with self._submitting, self._apart():  # an executor is one thread's at a time
                task = self._executor.submit(elsewhere.run_cell, elsewhere.CELL, str(job.file), job.folder)
        except FailedSubmissionError as error:
            raise Failed(f"Slurm did not take the job: {' '.join(str(error).split())[:300]}") from None
        missed = 0.0  # since when Slurm has not known it
        while not self._has_ended(task):
            if is_ending():
                task.cancel()
                raise Failed("interrupted")
            time.sleep(LOOK_S)
            missed = 0.0 if self._is_queued(str(task.job_id)) else missed or time.monotonic()
            if missed and time.monotonic() - missed > 2 * QUEUE_S:  # a shared folder may show the answer late
                raise Died(f"Slurm's job {task.job_id} is gone without an answer")
        try:
            return elsewhere.told(task.result())
        except UncompletedJobError as error:
            raise Died(f"Slurm's job {task.job_id} ended without an answer ({_state(task)}; {str(error).splitlines()[0]})") from None

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """What processes that begin meanwhile say goes to a file: those by which submitit runs jobs here end with a traceback when they are cancelled."""
        if self.cluster != "local":
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        sys.stderr.flush()
        kept = os.dup(STDERR)
        try:
            with (self.folder / "submitit.log").open("ab") as file:
                os.dup2(file.fileno(), STDERR)
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)

    def _has_ended(self, task: Any) -> bool:
        """Of Slurm's jobs submitit would ask the accounting, which many a cluster does not have; an answer is a file."""
        return task.paths.result_pickle.exists() if self.cluster == "slurm" else task.done()

    def _is_queued(self, job_id: str) -> bool:
        """Whether Slurm has it, waiting or running."""
        if self.cluster != "slurm":
            return True
        with self._asking:
            if time.monotonic() - self._asked > QUEUE_S:
                done = subprocess.run(["squeue", "--me", "--noheader", "--format=%A"], capture_output=True, text=True, check=False)
                if done.returncode:
                    return True  # it does not answer now
                self._queue, self._asked = set(done.stdout.split()), time.monotonic()
            return job_id in self._queue

    def end(self) -> None:
        """Each cell's thread cancels its job."""


def _refused(error: Exception) -> str:
    """In one line what submitit says in many: of an unknown parameter, which ones there are."""
    said = " ".join(str(error).split())
    if (found := re.search(r"Unknown argument '(\w+)'.*Valid arguments: ([\w, ]+?)(?: Known|$)", said)) is None:
        return f"slurm: {said}"
    valid = sorted({*SHARED, *found[2].split(", ")})
    return f"slurm.{found[1]}: no such parameter; valid: cluster, {', '.join(valid)}{did_you_mean(found[1], valid)}"


def _state(task: Any) -> str:
    with contextlib.suppress(OSError, RuntimeError):
        return str(task.state)
    return "UNKNOWN"
