"""`mode=page`: does what the page asks for and shows how it goes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from envs.teleop.pace import Pace
from eval.observers import picture
from eval.observers.composed import Composed
from eval.saying.page_server import SayServer
from eval.saying.session import Said, Session
from whatwhere.errors import BadInput

KEPT = 50  # results that the page shows
PATIENCE_S = 0.5  # between two looks whether somebody asks; Ctrl-C is heard in between


class Stopped(Exception):
    """The page wants the episode to end."""


@dataclass(frozen=True)
class Told:
    """What the page is to show beside the picture."""

    state: str  # ready or running
    task: str
    label: str
    scene: str
    things: list[str]
    example: str
    sentence: str = ""
    message: str = ""
    problem: bool = False
    steps: int = 0
    horizon: int = 0
    error_cm: float | None = None
    results: list[dict[str, Any]] = field(default_factory=list)  # the newest first


class Shown(Composed):
    """Shows each frame when it is due, not sooner, and ends the episode when the page wants it."""

    def __init__(self, room: Room, label: str) -> None:
        super().__init__(label)
        self.room, self.pace = room, Pace(room.session.env.control_hz)

    def begin(self, *arguments: Any) -> None:
        self.pace.restart()
        super().begin(*arguments)

    def take(self, frame: np.ndarray) -> None:
        error = self.errors_cm[-1] if self.errors_cm else None
        notice = {"message": self.room.notice, "problem": bool(self.room.notice)}
        self.room.tell(frame, state="running", sentence=self.instruction, steps=self.steps, error_cm=error, **notice)
        self.pace.wait(counted=False)
        self.room.look_up()

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        self.last = self.final(row)
        return {}


class Room:
    """A session and a page that is told what goes on in it."""

    def __init__(self, session: Session, server: SayServer, label: str) -> None:
        self.session, self.server, self.label = session, server, label
        self.results: list[dict[str, Any]] = []
        self.is_over = False
        self.notice = ""  # what the page shows while an episode runs

    def tell(self, frame: np.ndarray | None = None, **told: Any) -> None:
        session = self.session
        known = {"state": "ready", "task": session.env.task, "label": self.label, "scene": session.scene, "things": session.things}
        known |= {"example": session.example, "horizon": session.env.horizon, "results": self.results[:KEPT]}
        self.server.tell(dataclasses.asdict(Told(**{**known, **told})), {} if frame is None else {0: frame})

    def run(self) -> None:
        """Until the page says quit."""
        self.scene()
        while not self.is_over:
            message = self.server.asked(PATIENCE_S)
            if message is None:
                continue
            self.obey(message.get("do"))
            if "say" in message:
                self.say(message["say"])

    def obey(self, what: str | None) -> None:
        if what == "quit":
            self.is_over = True
        elif what == "new":
            self.session.next()
            self.scene()

    def look_up(self) -> None:
        """In an episode: raises Stopped if the page wants to stop, quit or see another scene; sentences wait for the end."""
        message = self.server.asked()
        if message is None:
            return
        if "do" in message:
            self.is_over = message["do"] == "quit"
            raise Stopped(message["do"])
        self.notice = "it is still at work: press stop first"

    def say(self, sentence: str) -> None:
        """Plays it, and tells the page."""
        try:
            sentence = self.session.check(sentence)
        except BadInput as error:
            self.tell(message=str(error), problem=True)
            return
        self.notice = note = self.session.note(sentence) or ""
        shown = Shown(self, self.label)
        try:
            said = self.session.play(sentence, [shown])
        except Stopped as stopped:
            if str(stopped) == "new":
                self.session.next()
            self.scene("stopped")
            return
        self.results.insert(0, _result(said, self.session.episode))
        self.tell(shown.last, sentence=sentence, message=note or str(said), problem=bool(note), steps=said.steps, error_cm=said.error_cm)

    def scene(self, message: str = "") -> None:
        """Shows the scene as it is at its start."""
        session = self.session
        session.show()
        side = picture.panel(session.frames, session.env.cameras)
        title = f"{session.env.task} · {self.label} · episode {session.episode}"
        frame = picture.compose(session.env.render(), side, title, {}, [], 0, session.env.horizon, session.env.control_hz, "", ("ready", None))
        self.tell(frame, message=message)


def _result(said: Said, episode: int) -> dict[str, Any]:
    return {"scene": episode, "sentence": said.sentence, "success": said.success, "outcome": said.outcome, "error_cm": said.error_cm, "steps": said.steps}
