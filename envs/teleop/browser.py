"""`source=browser`: a page in any browser, also over an SSH tunnel, with keys, mouse, touch and gamepad."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from envs.teleop.device import Command, Status
from envs.teleop.server import PageServer


class Browser:
    """Serves the page from the moment the environment is there."""

    paced, asks = True, True

    def __init__(self, host: str = "127.0.0.1", port: int = 8765, allow_hosts: tuple[str, ...] = ()) -> None:
        """Raises BadInput as `ServedPage` does."""
        self._server = PageServer(host, port, allow_hosts)

    @property
    def url(self) -> str:
        return self._server.url

    def open(self, env: Any) -> None:
        """Raises BadInput if the port is taken."""
        self._cameras = list(env.cameras)
        self._server.start()
        self._server.announce()

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        return "play"

    def read(self) -> Command:
        return self._server.command()

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        told = dataclasses.asdict(status) | {"cameras": self._cameras}
        self._server.tell(told, {self._cameras.index(name): picture for name, picture in pictures.items()})

    def close(self) -> None:
        self._server.close()
