"""`source=browser`: a page in any browser, also over an SSH tunnel, with keys, mouse, touch and gamepad."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from envs.teleop.device import Command, Status
from envs.teleop.server import LOCAL_NAMES, PageServer
from whatwhere.errors import BadInput

EVERYWHERE = ("0.0.0.0", "::")


class Browser:
    """Serves the page from the moment the environment is there."""

    paced, asks = True, True

    def __init__(self, host: str = "127.0.0.1", port: int = 8765, allow_hosts: tuple[str, ...] = ()) -> None:
        """Raises BadInput for a port that cannot be, and for a `host` that is every address without the names by which it may be called."""
        if not 0 <= port <= 65535:
            raise BadInput(f"port={port}: must be from 0 (any free one) to 65535")
        if host in EVERYWHERE and not allow_hosts:
            raise BadInput(f"host={host}: listens on every network; name the host names that browsers may use: allow_hosts=[NAME]")
        self._server = PageServer(host, port, allow_hosts)
        self._local = host in LOCAL_NAMES

    @property
    def url(self) -> str:
        return self._server.url

    def open(self, env: Any) -> None:
        """Raises BadInput if the port is taken."""
        self._cameras = list(env.cameras)
        self._server.start()
        print(f"open {self.url}")
        if self._local:
            print(f"from another machine: ssh -L {self._server.port}:localhost:{self._server.port} THIS_MACHINE, then open it there")
        else:
            print("the address is the key, and it travels unencrypted: use this in a network that you trust")
        print("Ctrl-C ends", flush=True)

    def begin(self, seed: int, start: int) -> Literal["play", "skip", "end"]:
        return "play"

    def read(self) -> Command:
        return self._server.command()

    def show(self, status: Status, pictures: Mapping[str, np.ndarray]) -> None:
        told = dataclasses.asdict(status) | {"cameras": self._cameras}
        self._server.tell(told, {self._cameras.index(name): picture for name, picture in pictures.items()})

    def close(self) -> None:
        self._server.close()
