"""`python -m envs.demos.collect task=pick_at_xy n=25 seed=0`: successful episodes of a scripted expert, a file each.

Start s of a seed is tried once, s = 0, 1, …; the j-th that succeeds is `episode_<j>.hdf5`, so the first n files are the same for every n, for any
number of workers and however often the run was killed. `starts.jsonl` has a row for every start tried, also for those that failed.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from envs import TASKS
from envs.demos.episodes import Episode, write_episode
from envs.demos.starts import Starts
from envs.demos.workers import workers
from whatwhere.command import command, positive
from whatwhere.errors import BadInput, choose
from whatwhere.files import claim, owned
from whatwhere.versions import check_simulator, stamp

if TYPE_CHECKING:
    from envs.base import TaskEnv
    from envs.experts import Expert

SOURCES = ("expert",)
RENDERINGS = ("fast", "exact")
DEMO_SEEDS, DEVELOPMENT_SEEDS = range(100_000), range(100_000, 200_000)
PATIENCE = 20  # failed starts that are borne before the share of failures counts


@dataclass(frozen=True)
class Settings:
    """What `envs/conf/collect.yaml` describes. Raises BadInput for values that cannot be."""

    task: str
    source: str
    n: int
    seed: int
    noise: float
    rendering: str
    size: int
    frame_gap: int
    horizon: int | None
    num_workers: int
    development: bool
    out: str | None

    def __post_init__(self) -> None:
        choose("task", self.task, TASKS)
        choose("source", self.source, SOURCES)
        choose("rendering", self.rendering, RENDERINGS)
        for name in ("n", "size", "frame_gap", "num_workers"):
            positive(name, getattr(self, name))
        positive("horizon", 1 if self.horizon is None else self.horizon)
        positive("noise", self.noise, 0)
        check_seed(self.seed, self.development)

    @property
    def folder(self) -> Path:
        rarely = (f"-gap{self.frame_gap}" if self.frame_gap != 4 else "") + (f"-horizon{self.horizon}" if self.horizon else "")
        return Path(self.out or f"data/{self.task}/{self.source}-seed{self.seed}-noise{self.noise:g}-{self.rendering}{self.size}{rarely}")

    def content(self) -> dict[str, Any]:
        """What the files depend on: all that must be the same for a run to continue in a folder."""
        names = ("task", "source", "seed", "noise", "rendering", "size", "frame_gap", "horizon")
        return {"kind": "demonstrations"} | {name: getattr(self, name) for name in names} | {name: stamp()[name] for name in ("mujoco", "robosuite")}


def check_seed(seed: int, development: bool) -> None:
    """Raises BadInput unless demonstrations may start from `seed`."""
    if seed in DEMO_SEEDS or (development and seed in DEVELOPMENT_SEEDS):
        return
    raise BadInput(f"seed={seed}: demonstrations take seeds 0–99999 (with development=true also 100000–199999, not to train on); others are for evaluation")


class Recorder:
    """Plays starts of one seed in one environment; every worker process has its own."""

    def __init__(self, settings: Settings) -> None:
        import envs
        from envs.experts import EXPERTS

        self.settings, self.expert_class = settings, EXPERTS[settings.task]
        names = ("rendering", "size", "frame_gap", "horizon")
        self.env = envs.make(settings.task, **{name: getattr(settings, name) for name in names})

    def close(self) -> None:
        self.env.close()

    def __call__(self, start: int) -> dict[str, Any]:
        """Plays one start; if it succeeds its file is in the folder under a name of the start's own. Returns the row of `starts.jsonl`."""
        settings = self.settings
        rng = np.random.default_rng([crc32(b"noise"), settings.seed, start])
        episode, failure = record(self.env, self.expert_class(noise=settings.noise, rng=rng), settings.seed, start)
        episode.attrs |= {"source": settings.source, "noise": settings.noise}
        if episode.success:
            write_episode(Starts.draft(settings.folder, start), episode)
        return {"episode": start, "success": episode.success, "failure": failure} | {
            "steps": len(episode),
            "position_error_cm": episode.attrs["position_error_cm"],
            "init_hash": episode.attrs["init_hash"],
        }


def record(env: TaskEnv, expert: Expert, seed: int, start: int) -> tuple[Episode, str | None]:
    """One episode of `expert` from a start, and why it failed (None if it did not)."""
    observation, info = env.reset(seed=seed, options={"episode": start})
    expert.reset()
    first, rows, done = info, [], False
    while not done:
        action = np.clip(expert.act(info), -1, 1).astype(np.float32)
        executed = np.clip(expert.perturb(action), -1, 1).astype(np.float32)
        rows.append((action, executed, env.get_state(), observation["proprio"], observation["frames"][:, 1]))
        observation, _, terminated, truncated, info = env.step(executed)
        done = terminated or truncated
    actions, executed_actions, states, proprio, frames = (np.stack(column) for column in zip(*rows, strict=True))
    success = bool(info["success"])
    episode = Episode(actions, states, proprio, frames, success, observation["instruction"], attrs_of(env, first), executed_actions)
    error = float(info["position_error_cm"])
    episode.attrs |= {"seed": seed, "episode": start, "position_error_cm": error if np.isfinite(error) else None}
    return episode, None if success else info.get("failure") or "horizon"


def attrs_of(env: TaskEnv, info: dict[str, Any]) -> dict[str, Any]:
    """What an episode file says about the environment it was recorded in; `info` is that of the reset."""
    return {
        "task": env.task,
        "task_version": env.task_version,
        "env_name": TASKS[env.task].split(":")[1],
        "init_hash": info["init_hash"],
        "rendering": env.rendering,
        "size": int(env.size),
        "cameras": list(env.cameras),
        "frame_gap": int(env.frame_gap),
        "control_hz": int(env.control_hz),
        "horizon": int(env.horizon),
        "recorded_actions": "corrective (what the source wanted); executed_actions: what was sent to the simulator, noise included",
        "versions": stamp(),
        "model_file": env.model_xml(),
    }


def main(settings: Settings) -> None:
    check_simulator()
    if settings.folder.is_dir() and not (settings.folder / "settings.json").exists() and any(settings.folder.glob("episode_*.hdf5")):
        raise BadInput(f"out={settings.folder}: holds demonstrations that were not collected by this command; choose another out=")
    with owned(settings.folder) as folder:
        claim(folder, settings.content())
        starts = Starts(folder)
        if starts.wanted(settings.n):
            collect(settings, starts)
        failed = [row["episode"] for row in starts.rows if not row["success"]]
        print(f"{starts.num_files} demonstrations in {folder} · {len(failed)} of {len(starts.rows)} starts failed{f': {failed}' if failed else ''}")


def collect(settings: Settings, starts: Starts) -> None:
    """Plays starts until the folder holds `settings.n` files. Leaves with exit code 1 if most of them fail."""
    began, before = time.monotonic(), starts.num_files
    running: dict[Future[dict[str, Any]], int] = {}
    with workers(settings.num_workers, Recorder, settings) as submit:
        while True:
            while len(running) < settings.num_workers and (start := starts.next(settings.n, running.values())) is not None:
                running[submit(start)] = start
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                starts.add(row := future.result())
                done = starts.num_files
                left = int((time.monotonic() - began) / max(done - before, 1) * (settings.n - done))
                outcome = f"{'success' if row['success'] else 'failed: ' + row['failure']} after {row['steps']} steps"
                print(f"start {row['episode']}: {outcome} · {done}/{settings.n} · {left // 60}:{left % 60:02d} left", flush=True)
            failed = sum(not row["success"] for row in starts.rows)
            if failed > PATIENCE and failed > 2 * starts.num_files:
                raise SystemExit(f"task={settings.task} noise={settings.noise:g}: {failed} of {len(starts.rows)} starts failed; see {starts.book}")


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "1")  # the software renderer: a process a core beats threads
    command("envs.conf", "collect", Settings, main)
