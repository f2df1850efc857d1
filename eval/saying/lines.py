"""`mode=line`: sentences from a stream, a line each, and one line for what came of each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from envs.video import VideoFile
from eval.observers import picture
from eval.observers.composed import Filmed
from eval.observers.video import ENCODING
from eval.saying.session import Session
from whatwhere.counted import counted
from whatwhere.errors import BadInput

LONGEST_LINE = 10_000  # bytes
COMMANDS = (":new", ":scene", ":quit")
HOW = "a sentence a line; :new for another scene, :scene for what is in this one, :quit to end"


def read_lines(stream: IO[bytes], is_asked: bool = False) -> Iterator[str]:
    """Lines that are not empty. Raises BadInput for one that is no text, unless somebody is asked (`is_asked`), who is told and asked again."""
    number = 0
    while True:
        if is_asked:
            print("> ", end="", flush=True)
        line = stream.readline(LONGEST_LINE)
        number += 1
        if not line:
            return
        try:
            if len(line) == LONGEST_LINE:
                raise BadInput(f"line {number}: more than {LONGEST_LINE} bytes")
            text = line.decode().strip()
        except (UnicodeDecodeError, BadInput) as error:
            problem = error if isinstance(error, BadInput) else BadInput(f"line {number}: its bytes are not UTF-8")
            if not is_asked:
                raise problem from None
            print(problem, file=sys.stderr, flush=True)
            continue
        if text:
            yield text


class Film(Filmed):
    """All that is said and done, one after the other, in one file."""

    def __init__(self, label: str, video: VideoFile) -> None:
        super().__init__(label)
        self.video = video


def converse(session: Session, lines: Iterator[str], label: str, video: str | None = None, is_asked: bool = False) -> int:
    """Plays what the lines say, to their end or `:quit`; returns how many sentences it were. Raises BadInput as `read_lines` and `Session.check` do."""
    with contextlib.ExitStack() as files:
        observers = []
        if video is not None:
            Path(video).parent.mkdir(parents=True, exist_ok=True)
            film = files.enter_context(VideoFile(video, picture.HEIGHT, picture.WIDTH, session.env.control_hz, ENCODING))
            observers.append(Film(label, film))
        print(session.scene, flush=True)
        count = 0
        for line in lines:
            if line == ":quit":
                break
            if line == ":new":
                session.next()
            if line in (":new", ":scene"):
                print(session.scene, flush=True)
                continue
            try:
                if line.startswith(":"):
                    raise BadInput(f"{line}: unknown; valid: {', '.join(COMMANDS)}, or a sentence")
                sentence = session.check(line)
            except BadInput as error:
                if not is_asked:
                    raise
                print(error, file=sys.stderr, flush=True)
                continue
            if (note := session.note(sentence)) is not None:
                print(note, file=sys.stderr, flush=True)
            print(session.play(sentence, observers), flush=True)
            count += 1
        if video is not None and not count:
            files.pop_all()
            film.drop()
    if video is not None and count:
        print(f"{video}: {counted(count, 'sentence')}")
    return count
