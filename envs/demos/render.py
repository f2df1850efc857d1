"""`python -m envs.demos.render demos=… size=128`: renders demonstrations again from their recorded states, into a new folder."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.demos.episodes import Episode, episode_paths, read_attrs, read_episode, write_episode
from envs.demos.replay import START_KEYS, begin, check_alike, check_named, make_env
from envs.options import Names, Pixels, Rendering, Task
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, OutputFolder
from whatwhere.options import options
from whatwhere.owned import claim, owned
from whatwhere.versions import check_simulator, stamp

if TYPE_CHECKING:
    from envs.base import TaskEnv

LOOKS = ("rendering", "size", "cameras")


@options
class Settings:
    """What `envs/conf/render.yaml` describes; None leaves a thing as it was recorded."""

    demos: InputPath
    rendering: Rendering | None
    size: Pixels | None
    cameras: Names | None
    out: OutputFolder | None
    task: Task | None = None


def draw(env: TaskEnv, episode: Episode) -> Episode:
    """The same episode with the pictures that `env` draws of its states."""
    begin(env, episode)  # the looks of this start
    frames = []
    for state in episode.states:
        env.set_state(state)
        frames.append(env.camera_frames())
    looks = {"rendering": env.rendering, "size": int(env.size), "cameras": list(env.cameras)}
    return replace(episode, frames=np.stack(frames), attrs=episode.attrs | looks)


def main(settings: Settings) -> None:
    paths = episode_paths(settings.demos)
    headers = [read_attrs(path) for path in paths]
    check_alike(paths, headers, (*START_KEYS, *LOOKS))
    check_named(headers[0], paths[0], settings.task)
    changes: dict[str, Any] = {name: getattr(settings, name) for name in LOOKS if getattr(settings, name) is not None}
    if "cameras" in changes:
        changes["cameras"] = list(changes["cameras"])
    looks = {name: headers[0][name] for name in LOOKS} | changes
    folder = Path(settings.out or f"{settings.demos.rstrip('/')}-{looks['rendering']}{looks['size']}{_named(changes.get('cameras'))}")
    if realpath(folder) == realpath(settings.demos):
        raise BadInput(f"out={folder}: is the folder of the demonstrations themselves; choose another out=, or other looks")
    check_simulator()
    with owned(folder):
        claim(folder, {"kind": "drawn demonstrations", **looks, "mujoco": stamp()["mujoco"]})
        todo = [(path, header) for path, header in zip(paths, headers, strict=True) if not _is_drawn(folder / path.name, header)]
        if todo:
            check_writable("out", folder)
            with contextlib.closing(make_env(headers[0], paths[0], **changes)) as env:
                draw_all(env, todo, folder)
    print(f"{counted(len(paths), 'demonstration')} in {folder}: {looks['rendering']}, {looks['size']} px, {', '.join(looks['cameras'])}")


def draw_all(env: TaskEnv, todo: list[tuple[Path, dict[str, Any]]], folder: Path) -> None:
    """Draws the files of `todo` (path, its settings) into `folder`."""
    for number, (path, header) in enumerate(todo, 1):
        drawn = draw(env, read_episode(path, frames=False))
        drawn.attrs["drawn_from"] = header["sha256"]
        write_episode(folder / path.name, drawn)
        print(f"{path.name}: {counted(len(drawn), 'step')} drawn · {number}/{len(todo)}", flush=True)


def _is_drawn(target: Path, header: dict[str, Any]) -> bool:
    if target.exists() and read_attrs(target).get("drawn_from") != header["sha256"]:
        raise BadInput(f"{target}: was rendered from another demonstration; choose another out=")
    return target.exists()


def _named(cameras: list[str] | None) -> str:
    return "".join(f"-{camera}" for camera in cameras or ())


if __name__ == "__main__":
    command("envs.conf", "render", Settings, main)
