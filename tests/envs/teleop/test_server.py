"""Who may steer: wrong token, origin, host, a second controller, messages too large, too many or senseless. No simulator."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from envs.teleop import server as server_module
from envs.teleop.browser import Browser
from envs.teleop.served import BUSY, MAX_RATE, NONSENSE, TOO_FAST
from envs.teleop.server import PageServer
from whatwhere.errors import BadInput

MOVING = {"move": [1, 0, 0], "turn": [0, 0, 0], "speed": 0.5, "buttons": [], "visible": True, "seen": 0}


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    one = PageServer("127.0.0.1", 0, ("robot.example",))
    one.start()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def nobody_left(server: PageServer) -> Iterator[None]:
    yield
    until(lambda: server._controller is None)
    server.command()


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def open_socket(server: PageServer, token: str | None = None, origin: str | None = "", host: str = "") -> ClientConnection:
    place = urlsplit(server.url).netloc
    address = f"ws://{host or place}/{token or server.token}/socket"
    headers = {} if origin is None else {"Origin": origin or f"http://{host or place}"}
    return connect(address, sock=None if not host else dial(server), additional_headers=headers, proxy=None, max_size=None, open_timeout=5, close_timeout=1)


def dial(server: PageServer) -> Any:
    import socket

    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def get(server: PageServer, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


def closed_with(socket: ClientConnection) -> int | None:
    """The code with which the server closes, whatever it sends before."""
    try:
        while True:
            socket.recv(timeout=5)
    except ConnectionClosed:
        return socket.close_code


def test_the_page_is_whole_and_may_load_nothing_from_elsewhere(server: PageServer) -> None:
    for name, kind in (("", "text/html"), ("teleop.js", "text/javascript"), ("teleop.css", "text/css")):
        status, headers, body = get(server, f"/{server.token}/{name}")
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
        assert b"https://" not in body and b"http://" not in body


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/teleop.js", "/wrong/socket", "/%2e%2e/teleop.js", "/favicon.ico"])
def test_a_wrong_token_gets_nothing(server: PageServer, path: str) -> None:
    status, _, body = get(server, path)
    assert status == 403 and server.token.encode() not in body


@pytest.mark.parametrize("name", ["../server.py", "page/teleop.js", "teleop.js/", "..%2fserver.py", "index.html"])
def test_only_the_files_of_the_page_are_served(server: PageServer, name: str) -> None:
    assert get(server, f"/{server.token}/{name}")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "127.0.0.1.evil.example", "[::1", "0.0.0.0"])
def test_a_name_that_is_not_this_machine_s_is_refused(server: PageServer, host: str) -> None:
    assert get(server, f"/{server.token}/", Host=host)[0] in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:1234", "[::1]:80", "Robot.example:8765"])
def test_this_machine_s_names_are_known_at_any_port(server: PageServer, host: str) -> None:
    assert get(server, f"/{server.token}/", Host=host)[0] == 200


def test_wrong_token_origin_or_host_opens_no_socket(server: PageServer) -> None:
    place = urlsplit(server.url).netloc
    wrong: list[dict[str, Any]] = [{"token": "x" * 32}, {"origin": "http://evil.example"}, {"origin": None}, {"origin": "null"}, {"host": "evil.example"}]
    wrong += [{"origin": f"ftp://{place}"}, {"origin": f"http://{place}.evil.example"}, {"origin": "http://127.0.0.1:1"}]
    for arguments in wrong:
        with pytest.raises(InvalidStatus) as refused:
            open_socket(server, **arguments)
        assert refused.value.response.status_code == 403, arguments
    with open_socket(server, host="robot.example:8765") as socket:
        socket.send(json.dumps(MOVING))
        until(lambda: server.command().present)


def test_one_controller_at_a_time(server: PageServer) -> None:
    with open_socket(server) as first:
        first.send(json.dumps(MOVING))
        until(lambda: server.command().present)
        with open_socket(server) as second:
            assert closed_with(second) == BUSY
        first.send(json.dumps(MOVING))
        until(lambda: server.command().move == (1, 0, 0))
    until(lambda: not server.command().present)
    with open_socket(server) as third:
        third.send(json.dumps(MOVING))
        until(lambda: server.command().present)


def test_a_large_message_ends_the_connection_and_the_motion(server: PageServer) -> None:
    with open_socket(server) as socket:
        socket.send(json.dumps(MOVING))
        until(lambda: server.command().present)
        with contextlib.suppress(ConnectionClosed):  # the server may close while it is still being sent
            socket.send("x" * 10_000_000)
        closed_with(socket)
    until(lambda: not server.command().present)
    with open_socket(server) as socket:
        socket.send(json.dumps(MOVING | {"buttons": ["gripper"] * 8}) + " " * (PageServer.max_message - 300))
        socket.send("x" * (PageServer.max_message + 1))
        assert closed_with(socket) == 1009


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "null",
        b"\x00\x01",
        "[" * 1000,
        json.dumps(MOVING | {"move": [1, 0]}),
        json.dumps(MOVING | {"move": [1, 0, None]}),
        json.dumps(MOVING | {"move": [True, 0, 0]}),
        json.dumps(MOVING | {"move": "up"}),
        json.dumps(MOVING | {"move": [float("nan"), 0, 0]}),
        json.dumps(MOVING | {"turn": {"0": 1}}),
        json.dumps(MOVING | {"speed": "fast"}),
        json.dumps(MOVING | {"speed": float("inf")}),
        json.dumps(MOVING | {"buttons": ["explode"]}),
        json.dumps(MOVING | {"buttons": ["save"] * 9}),
        json.dumps(MOVING | {"buttons": "save"}),
        json.dumps(MOVING | {"seen": 1e999}),
        json.dumps(MOVING | {"out": "/etc"}),
    ],
)
def test_senseless_messages_end_the_connection(server: PageServer, message: str | bytes) -> None:
    with open_socket(server) as socket:
        socket.send(message)
        assert closed_with(socket) == NONSENSE
    assert not server.command().present


def test_too_many_messages_end_the_connection(server: PageServer) -> None:
    with open_socket(server) as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(4 * MAX_RATE):
                socket.send(json.dumps(MOVING))
        assert closed_with(socket) == TOO_FAST
    until(lambda: not server.command().present)


def test_values_out_of_range_are_clipped_and_buttons_are_told_once(server: PageServer) -> None:
    with open_socket(server) as socket:
        socket.send(json.dumps(MOVING | {"move": [7, -7, 0.5], "speed": 3, "buttons": ["gripper", "save"]}))
        until(lambda: server._heard > 0 and server._pressed)
        command = server.command()
        assert (command.move, command.speed, command.buttons) == ((1, -1, 0.5), 1, ("gripper", "save"))
        assert server.command().buttons == ()


def test_a_hidden_silent_or_gone_page_moves_nothing(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_socket(server) as socket:
        socket.send(json.dumps(MOVING))
        until(lambda: server.command().move == (1, 0, 0))
        socket.send(json.dumps(MOVING | {"visible": False}))
        until(lambda: not server.command().present)
        assert server.command().move == (0, 0, 0)
        socket.send(json.dumps(MOVING))
        until(lambda: server.command().present)
        monkeypatch.setattr(server_module, "FRESH_S", 0.0)  # nothing came for too long
        assert not server.command().present and server.command().is_still
        monkeypatch.undo()
        socket.send(json.dumps(MOVING))
        until(lambda: server.command().present)
    until(lambda: not server.command().present)


def test_pictures_and_status_reach_the_page_and_wait_for_it(server: PageServer) -> None:
    picture = np.full((32, 32, 3), 200, np.uint8)
    with open_socket(server) as socket:
        server.tell({"state": "ready"}, {1: picture})
        told = [socket.recv(timeout=5), socket.recv(timeout=5)]
        assert [json.loads(text) for text in told if isinstance(text, str)][-1] == {"state": "ready"}
        sent = []
        for _ in range(10):  # nothing is acknowledged: no more than two are on their way
            server.tell({"state": "ready"}, {0: picture, 1: picture})
            time.sleep(0.02)
        while True:
            try:
                message = socket.recv(timeout=0.3)
            except TimeoutError:
                break
            sent += [message] if isinstance(message, bytes) else []
        assert 1 <= len(sent) <= 3
        assert sent[0][5:8] == b"\xff\xd8\xff"
        number = int.from_bytes(sent[-1][1:5], "big")
        socket.send(json.dumps(MOVING | {"seen": number}))
        assert isinstance(socket.recv(timeout=5), bytes)


def test_a_page_that_comes_later_gets_the_latest_pictures(server: PageServer) -> None:
    server.tell({"state": "ready", "later": 1}, {0: np.zeros((32, 32, 3), np.uint8)})
    with open_socket(server) as socket:
        server.tell({"state": "ready", "later": 1}, {})
        kinds = {type(socket.recv(timeout=5)) for _ in range(2)}
    assert kinds == {str, bytes}


def test_a_page_that_comes_before_the_first_status_is_told_nothing() -> None:
    early = PageServer("127.0.0.1", 0)
    early.start()
    try:
        with open_socket(early) as socket:
            early.tell({"state": "ready"}, {})
            assert json.loads(socket.recv(timeout=5)) == {"state": "ready"}
    finally:
        early.close()


def test_every_session_has_another_token() -> None:
    tokens = {PageServer("127.0.0.1", 0).token for _ in range(20)}
    assert len(tokens) == 20 and min(map(len, tokens)) >= 32


def test_what_cannot_be_listened_on_is_bad_input(server: PageServer) -> None:
    with pytest.raises(BadInput, match="cannot be listened on"):
        PageServer("127.0.0.1", server.port).start()
    with pytest.raises(BadInput, match=r"host=0\.0\.0\.0: listens on every network"):
        Browser(host="0.0.0.0")
    with pytest.raises(BadInput, match="port=70000"):
        Browser(port=70000)
    assert Browser().url.startswith("http://127.0.0.1:")
