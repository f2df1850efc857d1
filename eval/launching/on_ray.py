"""Cells on a Ray cluster: a task each, which starts the cell's command. Ray hands on two paths and a line of text; its object store is not used."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from typing import Any, Self

from eval.launching import elsewhere
from eval.launching.job import Job
from eval.launching.process import Died, is_ending
from whatwhere.errors import BadInput, Failed

STORE_BYTES = 80 << 20  # the least that Ray takes; nothing is put there
LOOK_S = 1.0
STARTS = 3  # of Ray here; each waits half a minute, which on a busy machine can be too short


class OnRay:
    """`address`: of a cluster that is there (host:port, or auto: this machine is part of it); None: Ray starts here, with `jobs` places."""

    where = "ray"

    def __init__(self, settings: Any) -> None:
        self.address, self.cpus, self.gpus, self.jobs = settings.address, settings.cpus, settings.gpus, settings.jobs

    def __enter__(self) -> Self:
        if self.address not in (None, "auto"):
            _check_answers(self.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        self._ray: Any = importlib.import_module("ray")  # a type checker need not have it
        here = {"num_cpus": self.cpus * self.jobs, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        given = here if self.address is None else {"address": self.address}
        for number in range(STARTS if self.address is None else 1):
            try:
                self._ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **given)
                break
            except Exception as error:  # Ray raises whatever comes: none is there, it is of another version, it took longer to start than it waits
                self._ray.shutdown()
                said = " ".join(str(error).split())[:300]
                if self.address is not None:
                    raise BadInput(f"address={self.address}: {said}") from None
                if number + 1 == STARTS:
                    raise Failed(f"launcher=ray: Ray did not start here: {said}") from None
        self._task = self._ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)(elsewhere.run_cell)
        self._check_room(self._ray.cluster_resources())
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def run(self, job: Job) -> str:
        try:
            task = self._task.remote(elsewhere.CELL, str(job.file), job.folder)
            while not self._ray.wait([task], timeout=LOOK_S)[0]:
                if is_ending():
                    raise Failed("interrupted")
            ended = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            raise Died(f"its worker is gone ({type(error).__name__})") from None
        return elsewhere.told(ended)

    def end(self) -> None:
        """The cluster ends the cells of a study that leaves it."""

    def _check_room(self, found: dict[str, float]) -> None:
        """Raises BadInput for a cell that no machine there could ever run: it would wait for ever."""
        for name, resource, asked in (("cpus", "CPU", self.cpus), ("gpus", "GPU", self.gpus)):
            if asked > found.get(resource, 0):
                raise BadInput(f"{name}={asked}: the Ray cluster has {found.get(resource, 0):g}")


def _check_answers(address: str) -> None:
    """Raises BadInput at once where nobody is: Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
    except (OSError, ValueError) as error:
        raise BadInput(f"address={address}: no Ray cluster answers there ({error}); give host:port of one, or auto on a machine of it") from None
