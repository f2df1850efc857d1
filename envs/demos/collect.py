"""`python -m envs.demos.collect task=pick_at_xy n=25 seed=0`: records successful episodes, one file each, of a scripted expert or, with `source=`,
of a person.

Start s of a seed is tried once, s = 0, 1, …; the j-th that succeeds is `episode_<j>.hdf5`. With an expert the first n files are the same for every n, for any
number of workers and however often the run is killed. `starts.jsonl` has a row for every start tried, failures included.

With `source=play` a scripted hand does random things without a goal (envs.experts.play). Every start is recorded; these are not demonstrations.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from envs.demos.collect_settings import SCRIPTED, Settings
from envs.demos.episodes import Episode, write_episode
from envs.demos.gather import gather
from envs.demos.recording import attrs_of
from envs.demos.starts import Starts
from envs.experts import expert_class
from envs.experts.play import PlayExpert
from envs.teleop.run import make_device, teleoperate
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.owned import claim, owned
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from envs.base import TaskEnv
    from envs.experts import Expert

SLIP_PATIENCE = 2  # times a task's own horizon is what an expert that slips gets, unless `horizon` says otherwise


class Recorder:
    """Plays starts of one seed in one environment; every worker process has its own."""

    def __init__(self, settings: Settings) -> None:
        import envs

        self.settings, self.expert_class = settings, PlayExpert if settings.source == "play" else expert_class(settings.task, settings.expert)
        if settings.slipping and "slips" not in inspect.signature(self.expert_class).parameters:
            raise BadInput(f"slips={settings.slipping:g}: expert={settings.expert} cannot slip (see envs.experts.noisy); give slips=0")
        self.env = envs.make(settings.task, **settings.environment)
        if settings.slipping and settings.horizon is None:
            self.env.horizon *= SLIP_PATIENCE

    def close(self) -> None:
        self.env.close()

    def __call__(self, start: int) -> dict[str, Any]:
        """Plays one start; if it succeeds, or is play, its file is in the folder under a name of the start's own. Returns the row of `starts.jsonl`."""
        settings = self.settings
        rng = np.random.default_rng([crc32(b"noise"), settings.seed, start])
        slips = {"slips": settings.slipping} if settings.slipping else {}  # an expert of one's own need not know them
        episode, failure = record(self.env, self.expert_class(noise=settings.noise, rng=rng, **slips), settings.seed, start)
        episode.attrs |= {"source": settings.source, "noise": settings.noise, "slips": settings.slipping}
        is_kept = episode.success or settings.source == "play"
        if is_kept:
            write_episode(Starts.draft(settings.folder, start), episode)
        return {"episode": start, "success": is_kept, "failure": None if is_kept else failure} | {
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
    error = info["position_error_cm"]
    episode.attrs |= {"seed": seed, "episode": start, "position_error_cm": error if error is not None and np.isfinite(error) else None}
    return episode, None if success else info.get("failure") or "horizon"


def main(settings: Settings) -> None:
    check_simulator()
    device = None if settings.source in SCRIPTED else make_device(settings)  # before a simulator is imported
    if settings.folder.is_dir() and not (settings.folder / "settings.json").exists() and any(settings.folder.glob("episode_*.hdf5")):
        raise BadInput(f"out={settings.folder}: holds demonstrations that were not collected by this command; choose another out=")
    with owned(settings.folder) as folder:
        claim(folder, settings.content())
        starts = Starts(folder)
        if device is not None or starts.wanted(settings.n):
            check_writable("out", folder)
        if device is not None:
            teleoperate(settings, starts, device)
        elif starts.wanted(settings.n):
            kept = "recorded" if settings.source == "play" else "success"
            gather(starts, settings.n, settings.num_workers, f"task={settings.task} noise={settings.noise:g}", Recorder, settings, kept=kept)
        failed = [row["episode"] for row in starts.rows if not row["success"]]
        which = f": {failed}" if failed else ""
        what = ("episode of play", "episodes of play") if settings.source == "play" else ("demonstration", "demonstrations")
        print(f"{counted(starts.num_files, *what)} in {folder} · {len(failed)} of {counted(len(starts.rows), 'start')} failed{which}")


if __name__ == "__main__":
    command("envs.conf", "collect", Settings, main)
