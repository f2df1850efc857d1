"""`python -m eval.say checkpoint=… task=…`: type an instruction and watch the robot do it in MuJoCo.

`mode=page` serves a page to a browser; `mode=line` reads sentences from standard input and prints the result of each (docs/language.md).
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from pathlib import Path

from eval.playing.player import Player
from eval.playing.prepare import prepare
from eval.saying.settings import Settings
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput


def main(settings: Settings) -> None:
    player = prepare(settings.evaluation)
    if settings.video is not None:
        check_writable("video", Path(settings.video).parent)
    (serve if settings.mode == "page" else listen)(settings, player)


def listen(settings: Settings, player: Player) -> None:
    """mode=line. Where the sentences come from a file or a pipe, the first one is read before anything heavy is imported."""
    from eval.saying.lines import HOW, converse, read_lines

    is_asked = sys.stdin is not None and sys.stdin.isatty()
    lines = iter(()) if sys.stdin is None else read_lines(sys.stdin.buffer, is_asked)
    if is_asked:
        print(HOW, flush=True)
    else:
        first = next(lines, None)
        if first is None:
            raise BadInput("instruction: none; mode=line reads sentences from the standard input, a line each")
        lines = itertools.chain([first], lines)
    from eval.saying.session import Session

    with player.made() as (env, policy):
        converse(Session(env, policy, player.seed, player.first), lines, player.title, settings.video, is_asked)


def serve(settings: Settings, player: Player) -> None:
    """mode=page."""
    from eval.saying.page_server import SayServer
    from eval.saying.served_session import Room
    from eval.saying.session import Session

    server = SayServer(settings.host, settings.port, settings.allow_hosts)
    with player.made() as (env, policy), contextlib.closing(server), contextlib.suppress(KeyboardInterrupt):
        server.start()
        server.announce()
        Room(Session(env, policy, player.seed, player.first), server, player.title).run()


if __name__ == "__main__":
    command("eval.conf", "say", Settings, main)
