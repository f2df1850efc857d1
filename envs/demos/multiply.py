"""`python -m envs.demos.multiply src=data/teleop n=200`: makes many demonstrations from a few.

Demonstrations are split into segments, each relative to an object. At a new start these are moved with their objects and played, each control step computed
from the hand's present pose. Successes are kept and rendered. The idea is MimicGen's (arXiv 2310.17596). As in `collect`, start s of the seed is played once,
s = 0, 1, …; the j-th that succeeds is `episode_<j>.hdf5`, whatever `n` and the number of workers are, and however often the run is killed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from envs.demos.episodes import Episode, episode_paths, read_attrs, read_episode, write_episode
from envs.demos.gather import gather, played_of
from envs.demos.multiply_settings import Settings
from envs.demos.replay import START_KEYS, begin, check_alike, check_named, make_env
from envs.demos.starts import Starts
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.owned import claim, owned
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from envs.base import TaskEnv

ALIKE = (*START_KEYS, "rendering", "size", "cameras", "control_hz")
ORIGINAL = ("sha256", "seed", "episode", "init_hash")  # what is said of each source
A_SOURCES_START = "begins where a source does"


class Multiplier:
    """Plays starts of one seed in one environment; every worker process has its own. Raises BadInput if no segments can be found in the demonstrations."""

    def __init__(self, settings: Settings, paths: list[Path]) -> None:
        from envs.demos.multiplication.scene import Scene
        from envs.demos.multiplication.segments import holds
        from envs.demos.multiplication.sources import Source, alike, frames_of
        from envs.demos.multiplication.trace import trace_of

        self.settings, self.headers = settings, [read_attrs(path) for path in paths]
        changes = {name: getattr(settings, name) for name in ("rendering", "size", "horizon") if getattr(settings, name) is not None}
        self.env = make_env(self.headers[0], paths[0], **changes)
        self.scene = Scene(self.env)
        self.env.reset(seed=settings.seed, options={"episode": 0})
        taken = []
        for number, path in enumerate(paths):
            episode = read_episode(path, frames=False)
            _check_sizes(path, episode, self.env)
            if self.env.split is not None:
                begin(self.env, episode)  # shapes are not in the states
            trace = trace_of(self.scene, episode)
            taken.append(Source(number, trace, tuple(holds(trace))))
        self.sources = alike(taken)
        if not self.sources:
            raise BadInput(
                f"src={settings.src}: in none of {len(paths)} demonstrations an object is grasped and carried: there is nothing that segments are about"
            )
        self.left_out = [paths[source.number].name for source in taken if source not in self.sources]
        self.frames = frames_of(self.sources, self.scene.symmetry)
        self.originals = [{"file": path.name} | {name: header[name] for name in ORIGINAL} for path, header in zip(paths, self.headers, strict=True)]

    def close(self) -> None:
        self.env.close()

    def plan(self) -> str:
        """What is done, in a line."""
        pairs = zip(self.sources[0].holds, self.frames, strict=True)
        return "; ".join(f"take {hold.name}" + (f", put it down relative to {frame}" if hold.is_let_go else "") for hold, frame in pairs)

    def __call__(self, start: int) -> dict[str, Any]:
        """Plays one start; if it succeeds its file is in the folder under a name of the start's own. Returns the row of `starts.jsonl`."""
        from envs.demos.multiplication.choice import at_random, nearest
        from envs.demos.multiplication.follower import Follower
        from envs.demos.recording import Recording

        settings, env = self.settings, self.env
        _, info = env.reset(seed=settings.seed, options={"episode": start})
        row = {"episode": start, "success": False, "failure": A_SOURCES_START, "steps": 0, "position_error_cm": None, "init_hash": info["init_hash"]}
        if info["init_hash"] in {header["init_hash"] for header in self.headers}:
            return row
        rng, chance = (np.random.default_rng([crc32(word), settings.seed, start]) for word in (b"noise", b"segments"))
        choose = nearest(self.sources, self.frames, self.scene.symmetry) if settings.select == "nearest" else at_random(self.sources, chance)
        follower = Follower(self.scene, self.frames, choose, hurry=settings.hurry, noise=settings.noise, slips=settings.slips, rng=rng)
        attrs = {"source": "multiplied", "noise": settings.noise, "slips": settings.slips}
        recording, sent, done = Recording(env, info, settings.seed, start, attrs | _origin(self.headers[0])), [], False
        while not done and follower.failure is None:
            action = np.clip(follower.act(info), -1, 1).astype(np.float32)
            recording.add(recording.row(action))
            sent.append(np.clip(follower.perturb(action), -1, 1).astype(np.float32))
            terminated, truncated, info = env.advance(sent[-1])
            done = terminated or truncated
        error = info["position_error_cm"]
        row |= {"success": bool(info["success"]), "steps": len(sent), "position_error_cm": error if error is not None and np.isfinite(error) else None}
        row |= {"failure": None if row["success"] else info.get("failure") or follower.failure or "horizon", "segments": follower.used}
        if row["success"]:
            made = {"originals": self.originals, "segments": follower.used, "select": settings.select, "hurry": settings.hurry}
            episode = recording.episode(True, error, multiplied=made)
            episode.executed_actions = np.stack(sent)
            write_episode(Starts.draft(settings.folder, start), episode)
        return row


def _check_sizes(path: Path, episode: Episode, env: TaskEnv) -> None:
    """Raises BadInput unless the demonstration has the states and actions of the task's simulator."""
    for name, found, needed in (("states", episode.states.shape[1], len(env.get_state())), ("actions", episode.actions.shape[1], env.action_dim)):
        if found != needed:
            hint = "; without the simulator's recorded states nothing can be moved" if name == "states" else ""
            raise BadInput(f"{path}: {name} of {found} numbers, those of {env.task} have {needed}{hint}")


def _origin(header: dict[str, Any]) -> dict[str, Any]:
    """What demonstrations of others say of the environment, which stays true of what is made of them."""
    return {name: header[name] for name in ("origin",) if name in header}


def sources(settings: Settings) -> tuple[list[Path], str]:
    """The successful demonstrations and a digest of them. Raises BadInput if there are none, too few or too different ones."""
    paths = episode_paths(settings.src)
    if settings.num_demos is not None and len(paths) < settings.num_demos:
        raise BadInput(f"num_demos={settings.num_demos}: {settings.src} holds {len(paths)} demonstrations")
    paths = paths[: settings.num_demos]
    headers = [read_attrs(path) for path in paths]
    check_alike(paths, headers, ALIKE)
    check_named(headers[0], paths[0], settings.task)
    for path, header in zip(paths, headers, strict=True):
        if "multiplied" in header:
            raise BadInput(f"{path}: was made by this command; multiply what was recorded")
        if header.get("motion") is not None:
            raise BadInput(f"{path}: motion={header['motion']}: things moved by themselves; multiplied are demonstrations of things that lie still")
        if "arm_goals" in header:
            raise BadInput(f"{path}: task={header['task']}: actions are of a base that drives; multiplied are demonstrations of an arm")
    good = [(path, header) for path, header in zip(paths, headers, strict=True) if header["success"]]
    if not good:
        raise BadInput(f"src={settings.src}: none of its {len(paths)} demonstrations succeeded; record some that do")
    if settings.n < len(good):
        raise BadInput(f"n={settings.n}: {settings.src} holds {len(good)} demonstrations already; ask for more, or take the first few by num_demos=")
    digest = hashlib.sha256("".join(header["sha256"] for _, header in good).encode()).hexdigest()[:16]
    return [path for path, _ in good], digest


def main(settings: Settings) -> None:
    paths, digest = sources(settings)
    folder = settings.folder
    if os.path.realpath(folder) == os.path.realpath(settings.src):
        raise BadInput(f"out={folder}: is the folder of the demonstrations themselves; choose another out=")
    if folder.is_dir() and not (folder / "settings.json").exists() and any(folder.glob("episode_*.hdf5")):
        raise BadInput(f"out={folder}: holds demonstrations that were not made by this command; choose another out=")
    check_simulator()
    with owned(folder):
        claim(folder, settings.content(digest))
        starts = Starts(folder)
        if starts.wanted(settings.n):
            check_writable("out", folder)
            multiply(settings, paths, starts)
        played = played_of(starts.rows)
        won = sum(row["success"] for row in played)
        print(f"{counted(starts.num_files, 'demonstration')} in {folder}, made of {len(paths)} · {won} of {counted(len(played), 'try', 'tries')} succeeded")
        for line in barren(starts.rows, paths):
            print(line)


def multiply(settings: Settings, paths: list[Path], starts: Starts) -> None:
    """Plays starts until the folder holds `settings.n` files."""
    job = Multiplier(settings, paths)  # here first: what is wrong with the demonstrations is told once, and before workers begin
    try:
        print(f"{len(job.sources)} of {len(paths)} demonstrations: {job.plan()}", flush=True)
        if job.left_out:
            print(f"left out, since other things are carried there: {', '.join(job.left_out)}", flush=True)
    finally:
        if settings.num_workers > 1:
            job.close()
    what = f"src={settings.src} noise={settings.noise:g} slips={settings.slips:g}"
    if settings.num_workers == 1:
        gather(starts, settings.n, 1, what, lambda: job)
    else:
        gather(starts, settings.n, settings.num_workers, what, Multiplier, settings, paths)


def barren(rows: list[dict[str, Any]], paths: list[Path]) -> list[str]:
    """A line for each source whose segments were tried and never part of a success."""
    tried: dict[int, list[bool]] = {}
    for row in rows:
        for source in {segment["source"] for segment in row.get("segments", ())}:
            tried.setdefault(source, []).append(row["success"])
    return [f"{paths[source].name}: no success in {len(found)} tries" for source, found in sorted(tried.items()) if source < len(paths) and not any(found)]


if __name__ == "__main__":
    command("envs.conf", "multiply", Settings, main)
