"""The page of `eval.say`: sentences from a browser, pictures and results to it.

page → here   say (a sentence), new (another scene), stop, quit, seen
here → page   what `Told` says, and pictures of the episode
"""

from __future__ import annotations

import queue
from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from envs.instruction import LONGEST
from envs.teleop.served import ServedPage
from whatwhere.errors import BadInput, shown
from whatwhere.schema import checked
from whatwhere.strict_json import parse

WAITING = 8  # requests that are kept; a page that sends more is not ours


class Message(TypedDict, total=False):
    """What the page sends: a request, or only which picture it has shown."""

    say: Annotated[str, Meta(max_length=LONGEST)]
    do: Literal["new", "stop", "quit"]
    seen: Annotated[float, Meta(ge=0, le=2**53)]


class SayServer(ServedPage):
    """Keeps what is asked for until somebody does it."""

    files = {
        "": ("eval.saying", "page/index.html"),
        "say.js": ("eval.saying", "page/say.js"),
        "say.css": ("eval.saying", "page/say.css"),
        "teleop.css": ("envs.teleop", "page/teleop.css"),
    }
    max_message = 8192  # a sentence of the longest, in letters of four bytes, and then some

    def __init__(self, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        super().__init__(host, port, names)
        self._asked: queue.Queue[Message] = queue.Queue(WAITING)

    def take(self, message: str) -> int:
        told: Message = checked(parse(message, "message"), Message, "message")
        if not told.keys() <= Message.__annotations__.keys():
            raise BadInput(f"message: unknown keys {shown(list(told))}")
        if told.keys() & {"say", "do"}:
            try:
                self._asked.put_nowait(told)
            except queue.Full:
                raise BadInput(f"message: {WAITING} requests are waiting") from None
        return int(told.get("seen", 0))

    def asked(self, wait_s: float | None = None) -> Message | None:
        """The next request; None if there is none within `wait_s` seconds (None: at once)."""
        try:
            return self._asked.get_nowait() if wait_s is None else self._asked.get(timeout=wait_s)
        except queue.Empty:
            return None
