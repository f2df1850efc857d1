"""The page of `eval.say` over real HTTP: who is let in, what a message may be, and a sentence from the page to its result."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from envs.teleop.served import BUSY, NONSENSE
from eval.saying.page_server import WAITING, SayServer
from eval.saying.served_session import Room
from eval.saying.session import Session
from tests.envs.teleop.driver import browser
from tests.envs.teleop.driver import until as waiting
from tests.envs.teleop.test_server import closed_with, get, open_socket
from tests.eval.eval_fakes import FakeEnv, Reach


def until(condition: Callable[[], Any]) -> None:
    waiting(condition, "the page")


class Wide(FakeEnv):
    """With pictures of the scene that are quickly drawn, and time to press stop."""

    horizon = 200


class Slow(Reach):
    """Takes a second or more."""

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> Any:
        return super().act(obs, info) * 0.02 if obs["instruction"] == "slowly" else super().act(obs, info)


@contextlib.contextmanager
def running() -> Iterator[SayServer]:
    server = SayServer("127.0.0.1", 0)
    server.start()
    room = Room(Session(Wide(), Slow(), 5), server, "reach")
    thread = threading.Thread(target=lambda: (room.run(), server.close()), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        room.is_over = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def server() -> Iterator[SayServer]:
    with running() as one:
        yield one


@pytest.fixture(autouse=True)
def nobody_left(server: SayServer) -> Iterator[None]:
    yield
    until(lambda: not server.is_open)


def hear(socket: Any, wanted: Callable[[dict[str, Any]], bool]) -> tuple[dict[str, Any], int]:
    """The first status that is wanted, and how many pictures came before it. Each is said to have been seen."""
    pictures, end = 0, time.monotonic() + 60
    while time.monotonic() < end:
        message = socket.recv(timeout=30)
        if isinstance(message, bytes):
            pictures += 1
            assert message[5:7] == b"\xff\xd8", "a JPEG"
            socket.send(json.dumps({"seen": int.from_bytes(message[1:5], "big")}))
        elif wanted(told := json.loads(message)):
            return told, pictures
    raise AssertionError("waited for a minute")


def test_only_the_page_of_this_machine_is_let_in(server: SayServer) -> None:
    for name, kind in (("", "text/html"), ("say.js", "text/javascript"), ("say.css", "text/css"), ("teleop.css", "text/css")):
        status, headers, body = get(server, f"/{server.token}/{name}")  # type: ignore[arg-type]
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind) and b"http://" not in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(server, "/wrong/")[0] == 403 and get(server, f"/{server.token}/teleop.js")[0] == 404  # type: ignore[arg-type]
    assert get(server, f"/{server.token}/", Host="evil.example")[0] == 403  # type: ignore[arg-type]
    for wrong in ({"token": "x" * 32}, {"origin": "http://evil.example"}, {"origin": None}, {"host": "evil.example"}):
        with pytest.raises(InvalidStatus):
            open_socket(server, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message", ["", "[]", "{", '{"say": 1}', '{"do": "rm"}', '{"say": "x", "more": 1}', '{"seen": -1}', '{"say": "' + "x" * 1001 + '"}', b"x"]
)
def test_nonsense_ends_the_connection_and_nothing_else(server: SayServer, message: Any) -> None:
    with open_socket(server) as socket:  # type: ignore[arg-type]
        socket.send(message)
        assert closed_with(socket) == NONSENSE
    until(lambda: not server.is_open)
    with open_socket(server) as socket:  # type: ignore[arg-type]
        assert hear(socket, lambda told: told["state"] == "ready")[0]["task"] == "fake"


def test_a_flood_and_a_second_page_are_sent_away(server: SayServer) -> None:
    with open_socket(server) as socket:  # type: ignore[arg-type]
        hear(socket, lambda told: told["state"] == "ready")
        with open_socket(server) as second:  # type: ignore[arg-type]
            assert closed_with(second) == BUSY
        with contextlib.suppress(ConnectionClosed):
            for _ in range(20 * WAITING):
                socket.send(json.dumps({"say": " "}))
        closed_with(socket)


def test_a_sentence_and_its_result(server: SayServer) -> None:
    with open_socket(server) as socket:  # type: ignore[arg-type]
        before, _ = hear(socket, lambda told: told["state"] == "ready")
        socket.send(json.dumps({"do": "new"}))
        first, _ = hear(socket, lambda told: told["scene"] != before["scene"] and not told["problem"])
        socket.send(json.dumps({"say": "  "}))
        told, _ = hear(socket, lambda told: told["problem"])
        assert told["message"].startswith("instruction: empty")
        socket.send(json.dumps({"say": "Reach the red square!"}))
        told, before_it = hear(socket, lambda told: told["state"] == "running")
        assert told["sentence"] == "Reach the red square!"
        told, pictures = hear(socket, lambda told: told["results"] and told["state"] == "ready")
        assert before_it + pictures > 1
        result = told["results"][0]
        assert result["success"] is True and result["error_cm"] < 5 and result["scene"] == int(first["scene"].split()[1].rstrip(","))
        socket.send(json.dumps({"do": "new"}))
        assert hear(socket, lambda told: told["scene"] != first["scene"])[0]["state"] == "ready"
        socket.send(json.dumps({"say": "slowly"}))
        hear(socket, lambda told: told["steps"] > 2)
        socket.send(json.dumps({"say": "reach it"}))
        assert "still at work" in hear(socket, lambda told: told["problem"])[0]["message"]
        socket.send(json.dumps({"do": "stop"}))
        told, _ = hear(socket, lambda told: told["state"] == "ready")
        assert told["message"] == "stopped" and len(told["results"]) == 1, "what was stopped has no result"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_in_a_browser() -> None:
    with running() as server, browser() as chromium, contextlib.closing(chromium.new_page()) as page:
        page.goto(server.url)
        until(lambda: page.text_content("#state") == "ready")
        page.fill("#sentence", "reach the red square")
        page.press("#sentence", "Enter")
        until(lambda: page.locator("#results tbody tr").count() == 1)
        assert page.text_content("#results tbody td.yes") == "success" and page.text_content("#task") == "fake · reach"
        picture = page.locator("#picture").screenshot()
        assert len(picture) > 10_000, "a picture with something in it"
        page.click("#new")
        until(lambda: (page.text_content("#scene") or "").startswith("scene 1"))
        page.click("#quit")
        until(lambda: page.text_content("#message") == "The session has ended.")
