"""Serves a page and talks to it over a WebSocket, in a thread of its own. Only to the holder of the token, from this page, one at a time.

page → here   JSON texts of at most `max_message` bytes, which `take` checks and keeps; each has `seen`, the number of the last picture that was shown
here → page   JSON: what the page needs to know; binary: one byte camera, four bytes number, then a JPEG
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
from collections.abc import Mapping
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

from whatwhere.errors import BadInput

MAX_RATE = 120  # messages a second, with as many in reserve
IN_FLIGHT = 2  # pictures sent and not yet shown: more would only make them older over a slow line
JPEG_QUALITY = 80
BUSY, NONSENSE, TOO_FAST = 4001, 4002, 4003  # why a connection was closed
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")
KINDS = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
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


class ServedPage:
    """Listens on `host`:`port` (0: any free one). `names`: host names, besides those of this machine itself, under which a browser may know it.

    A subclass names its files and its longest message, and says what becomes of a message.
    """

    files: Mapping[str, tuple[str, str]]  # name in the address → package and path of a file; "" is the page itself
    max_message: int  # bytes

    def __init__(self, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        """Raises BadInput for a port that cannot be, and for a `host` that is every address without the names by which it may be called."""
        if not 0 <= port <= 65535:
            raise BadInput(f"port={port}: must be from 0 (any free one) to 65535")
        if host in EVERYWHERE and not names:
            raise BadInput(f"host={host}: listens on every network; name the host names that browsers may use: allow_hosts=[NAME]")
        self._host, self._port = host, port
        self._names = {*LOCAL_NAMES, host.lower(), *(name.lower() for name in names)} - {*EVERYWHERE}
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
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

    def announce(self) -> None:
        """Prints where the page is."""
        print(f"open {self.url}")
        if self._host in LOCAL_NAMES:
            print(f"from another machine: ssh -L {self.port}:localhost:{self.port} THIS_MACHINE, then open it there")
        else:
            print("the address is the key, and it travels unencrypted: use this in a network that you trust")
        print("Ctrl-C ends", flush=True)

    @property
    def url(self) -> str:
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(self._host, self._host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/{self.token}/"

    @property
    def port(self) -> int:
        return self._port

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

    @property
    def is_open(self) -> bool:
        """Whether a page is there."""
        return self._controller is not None

    # ---- for a subclass, in the server's thread

    def take(self, message: str) -> int:
        """Keeps what a message says; returns its `seen`. Raises BadInput for anything but what the page sends."""
        raise NotImplementedError

    def left(self) -> None:
        """The page is gone. Called with the lock held."""

    # ---- in the server's thread

    def _wake(self) -> None:
        if self._news is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)

    async def _serve(self) -> None:
        self._loop, self._news, self._end = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        options: dict[str, Any] = {"max_size": self.max_message, "max_queue": 4, "compression": None, "open_timeout": 5, "close_timeout": 1}
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
        if name not in self.files:
            return _response(HTTPStatus.NOT_FOUND, "no such page\n")
        package, path = self.files[name]
        return _response(HTTPStatus.OK, resources.files(package).joinpath(path).read_bytes(), KINDS[path.rpartition(".")[2]])

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
        self._wake()  # it is told at once what is known
        sender = asyncio.create_task(self._send(connection))
        try:
            await self._listen(connection)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            with self._lock:
                self._controller = None
                self.left()

    async def _listen(self, connection: ServerConnection) -> None:
        allowance, last = float(MAX_RATE), time.monotonic()
        async for message in connection:
            now = time.monotonic()
            allowance, last = min(allowance + (now - last) * MAX_RATE, MAX_RATE) - 1, now
            if allowance < 0:
                await connection.close(TOO_FAST, "too many messages")
                return
            try:
                self._hear(message)
            except BadInput:
                await connection.close(NONSENSE, "not a message of this page")
                return

    def _hear(self, message: str | bytes) -> None:
        if not isinstance(message, str):
            raise BadInput("message: needs a text, found bytes")
        seen = self.take(message)
        with self._lock:
            self._seen = max(self._seen, seen)
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
