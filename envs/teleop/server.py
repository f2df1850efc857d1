"""Serves the page of teleoperation and talks to it over a WebSocket, in a thread of its own. Only to the holder of the token, from this page, one at a time.

page → here   JSON, at most MAX_MESSAGE bytes: move, turn, speed, buttons (as in `Command`), visible, seen (number of the last picture that was shown)
here → page   JSON: the `Status` with what the page needs to know; binary: one byte camera, four bytes number, then a JPEG
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import io
import json
import secrets
import threading
import time
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from envs.teleop.device import ABSENT, BUTTONS, Command
from envs.teleop.messages import Message, command_of
from whatwhere.errors import BadInput, shown
from whatwhere.schema import checked
from whatwhere.strict_json import parse

MAX_MESSAGE = 2048  # bytes; the page's are below 300
MAX_RATE = 120  # messages a second, with as many in reserve
FRESH_S = 0.4  # a command older than that is none: the page sends twenty a second
IN_FLIGHT = 2  # pictures sent and not yet shown: more would only make them older over a slow line
JPEG_QUALITY = 80
BUSY, NONSENSE, TOO_FAST = 4001, 4002, 4003  # why a connection was closed
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
FILES = {"": "text/html; charset=utf-8", "teleop.js": "text/javascript; charset=utf-8", "teleop.css": "text/css; charset=utf-8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageServer:
    """Listens on `host`:`port` (0: any free one). `names`: host names, besides those of this machine itself, under which a browser may know it."""

    def __init__(self, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        self._host, self._port = host, port
        self._names = {*LOCAL_NAMES, host.lower(), *(name.lower() for name in names)} - {"0.0.0.0", "::"}
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._command, self._heard, self._pressed = ABSENT, -1e9, []
        self._status = ""  # nothing is known yet
        self._pictures: dict[int, np.ndarray] = {}  # by camera, not sent yet
        self._latest: dict[int, np.ndarray] = {}  # for a page that comes later
        self._news: asyncio.Event | None = None
        self._controller: ServerConnection | None = None
        self._started: threading.Event = threading.Event()
        self._failure: OSError | None = None

    # ---- for the control loop

    def start(self) -> None:
        """Raises BadInput if the port cannot be had."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise BadInput(f"host={self._host} port={self._port}: cannot be listened on ({self._failure.strerror}); choose another port=")

    @property
    def url(self) -> str:
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(self._host, self._host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/{self.token}/"

    @property
    def port(self) -> int:
        return self._port

    def command(self) -> Command:
        """What the page asks for now; ABSENT if it is gone, hidden or silent. Buttons are told once."""
        with self._lock:
            pressed, self._pressed = tuple(self._pressed), []
            fresh = self._controller is not None and time.monotonic() - self._heard < FRESH_S
            command = self._command if fresh else ABSENT
            return Command(command.move, command.turn, command.speed, pressed, present=command.present)

    def tell(self, status: dict[str, Any], pictures: dict[int, np.ndarray]) -> None:
        """What the page is to show next: what was not sent yet is replaced."""
        with self._lock:
            self._status = json.dumps(status)
            self._pictures |= pictures
            self._latest |= pictures
        self._wake()

    def close(self) -> None:
        if self._thread.is_alive() and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop ended by itself
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(timeout=5)

    # ---- in the server's thread

    def _wake(self) -> None:
        if self._news is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)

    async def _serve(self) -> None:
        self._loop, self._news, self._end = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        options: dict[str, Any] = {"max_size": MAX_MESSAGE, "max_queue": 4, "compression": None, "open_timeout": 5, "close_timeout": 1}
        options |= {"ping_interval": 2, "ping_timeout": 4, "server_header": None}
        try:
            server = await serve(self._talk, self._host, self._port, process_request=self._answer, **options)
        except OSError as error:
            self._failure = error
            self._started.set()
            return
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        async with server:
            await self._end.wait()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Files of the page; None lets a WebSocket through. Refuses whoever is not our page."""
        host = request.headers.get("Host", "")
        if not self._is_known(host):
            return _response(HTTPStatus.FORBIDDEN, f"unknown host {host[:80]!r}: see allow_hosts=\n")
        token, _, name = request.path.lstrip("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return _response(HTTPStatus.FORBIDDEN, "wrong token: open the address that the terminal shows\n")
        if name == "socket":
            origin = request.headers.get("Origin", "")
            if urlsplit(origin).scheme not in ("http", "https") or urlsplit(origin).netloc.lower() != host.lower():
                return _response(HTTPStatus.FORBIDDEN, "wrong origin\n")
            return None
        if name not in FILES:
            return _response(HTTPStatus.NOT_FOUND, "no such page\n")
        body = resources.files("envs.teleop").joinpath("page", name or "index.html").read_bytes()
        return _response(HTTPStatus.OK, body, FILES[name])

    def _is_known(self, host: str) -> bool:
        """Whether a Host header names this machine, whatever the port (an SSH tunnel may have another): a stranger's name that leads here does not."""
        try:
            return (urlsplit(f"//{host}").hostname or "") in self._names
        except ValueError:
            return False

    async def _talk(self, connection: ServerConnection) -> None:
        """One page. A second one is sent away, so that two hands never steer one arm."""
        if self._controller is not None:
            await connection.close(BUSY, "another page is in control")
            return
        with self._lock:
            self._controller, self._seen, self._pictures = connection, 0, dict(self._latest)
        sender = asyncio.create_task(self._send(connection))
        try:
            await self._listen(connection)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            with self._lock:
                self._controller, self._command = None, ABSENT

    async def _listen(self, connection: ServerConnection) -> None:
        allowance, last = float(MAX_RATE), time.monotonic()
        async for message in connection:
            now = time.monotonic()
            allowance, last = min(allowance + (now - last) * MAX_RATE, MAX_RATE) - 1, now
            if allowance < 0:
                await connection.close(TOO_FAST, "too many messages")
                return
            try:
                self._take(message)
            except BadInput:
                await connection.close(NONSENSE, "not a message of this page")
                return

    def _take(self, message: str | bytes) -> None:
        """Raises BadInput for anything but what the page sends."""
        if not isinstance(message, str):
            raise BadInput("message: needs a text, found bytes")
        told = checked(parse(message, "message"), Message, "message")
        if not told.keys() <= Message.__annotations__.keys():
            raise BadInput(f"message: unknown keys {shown(list(told))}")
        command = command_of(told, speed=0.0)
        with self._lock:
            self._command, self._heard, self._seen = command if told.get("visible") else ABSENT, time.monotonic(), int(told.get("seen", 0))
            self._pressed = [*self._pressed, *command.buttons][: 2 * len(BUTTONS)]
        self._wake()

    async def _send(self, connection: ServerConnection) -> None:
        """The newest status, and the newest picture of each camera as fast as the page shows them."""
        assert self._news is not None
        sent, told = 0, ""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._news.wait()
                self._news.clear()
                with self._lock:
                    status, pictures = self._status, {}
                    if sent - self._seen < IN_FLIGHT:
                        pictures, self._pictures = self._pictures, {}
                if status != told:
                    await connection.send(status)
                    told = status
                for camera, picture in pictures.items():
                    sent += 1
                    await connection.send(bytes([camera]) + sent.to_bytes(4, "big") + await asyncio.to_thread(_jpeg, picture))


def _jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _response(status: HTTPStatus, body: str | bytes, kind: str = "text/plain; charset=utf-8") -> Response:
    content = body.encode() if isinstance(body, str) else body
    headers = Headers({**HEADERS, "Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, content)
