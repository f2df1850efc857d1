"""`python -m envs.demos.play out=… clips=… seed=…`: play video for pre-training, from every task's scene, with scripted and random motion.

    frames.npy             (clips, frames, h, w, 3) uint8: appears only when complete
    index.json             settings, and for each clip: take, task, camera, motion, varied looks
    labels/<name>.npy      for probes only, never for pre-training; nan where there is nothing:
      gripper_pos_world    (clips, frames, 3) m
      objects_pos_world    (clips, frames, 3 objects, 3) m, the target first
      objects_pixel        (clips, frames, 3 objects, 2) column, row in this clip's picture (also when hidden)
      actions              (clips, frames, stride, 7): those executed between this frame and the next

With `things=varied`, `index.json` has for each clip of a table task the shapes of its `things` ("can", "box") and their `looks`, in the same order.
In version 1 of the tasks there are four objects, and `index.json` has each clip's `things`, their names in the same order ("red cube"), and its `instruction`.

A take is one start and `frames` frames, seen by each camera of the task; its content is a function of the settings and its number only.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from envs.demos.motions import BASE_SHARES, MOTIONS, SHARES, Expert
from envs.demos.play_settings import NUM_ACTIONS, NUM_OBJECTS, Settings
from envs.demos.workers import workers
from envs.language.draws import NUM_THINGS
from whatwhere.arrays import ArrayFile
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable, replace
from whatwhere.files import append_row, atomic, read_rows, write_json
from whatwhere.owned import claim, owned
from whatwhere.versions import check_simulator, stamp

if TYPE_CHECKING:
    from envs.base import TaskEnv

LONGEST_WARM_UP = 60  # control steps before the first frame, so that clips also begin in the middle of things
FALL_M = (0.05, 0.30)
NO_OBJECTS = {f"privileged/{name}_pos_world" for name in ("gripper", "base", "goal")}


def part(folder: Path, name: str) -> Path:
    """Where an array grows before it is whole."""
    return (folder / name).with_name(f".{Path(name).name}.part.npy")


class Player:
    """Records takes; every worker process has its own, with one environment a task."""

    def __init__(self, settings: Settings, cameras: dict[str, tuple[str, ...]]) -> None:
        self.settings, self.cameras = settings, cameras
        self.arrays = {name: ArrayFile(part(Path(settings.out), name), shape, kind, keep=True) for name, (shape, kind) in settings.arrays().items()}
        self.stages: dict[str, tuple[TaskEnv, Any]] = {}

    def close(self) -> None:
        for env, _ in self.stages.values():
            env.close()
        for array in self.arrays.values():
            array.close()

    def __call__(self, take: int) -> dict[str, Any]:
        """Plays a take and writes its clips. Returns its row."""
        settings = self.settings
        task, first = place_of(take, settings.names, self.cameras)
        env, looks = self._stage(task)
        rng = np.random.default_rng([crc32(b"play"), settings.seed, take])
        varied = bool(rng.random() < settings.vary)
        looks.vary(rng) if varied else looks.restore()
        motion, clips, info = self._play(env, rng, settings.seed, take)
        for camera in range(min(len(env.cameras), settings.clips - first)):
            for name, array in self.arrays.items():
                array.write((first + camera,), clips[name][camera])
        for array in self.arrays.values():
            array.sync()
        row = {"take": take, "task": task, "motion": motion, "varied": varied}
        row |= {"things": list(map(str, env.simulation.draw.things)), "instruction": env.instruction} if env.split else {}
        if settings.things_of(task):
            row |= {"things": [item.shape for item in env.simulation.items], "looks": [item.look for item in env.simulation.items]}
        return row | {"cameras": list(env.cameras), "first_clip": first, "init_hash": info["init_hash"]}

    def _stage(self, task: str) -> tuple[TaskEnv, Any]:
        if task not in self.stages:
            import envs
            from envs.looks import Looks

            settings = self.settings
            chosen: dict[str, Any] = {name: getattr(settings, name) for name in ("rendering", "size", "version", "split", "motion", "speed")}
            env = envs.make(task, frame_gap=settings.stride, horizon=1_000_000, things=settings.things_of(task), **chosen)
            self.stages[task] = env, Looks(env.simulation.sim.model._model)
        return self.stages[task]

    def _play(self, env: TaskEnv, rng: np.random.Generator, seed: int, take: int) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        from envs.experts import EXPERTS

        _, first = env.reset(seed=seed, options={"episode": take})
        info, num_actions = first, env.action_space.shape[0]  # type: ignore[index]
        shares = SHARES if num_actions == NUM_ACTIONS else BASE_SHARES
        name = str(rng.choice(list(shares), p=list(shares.values())))
        if name == "expert":
            mover: Any = Expert(rng, EXPERTS[env.task](noise=rng.uniform(0, 0.5), rng=rng))
        else:
            mover = MOTIONS["walk" if name == "fall" else name](rng, num_actions)
        again = {"episode": take} if self.settings.things_of(env.task) else None  # the same things: the row names them
        for _ in range(rng.integers(0, LONGEST_WARM_UP)):
            _, info = _step(env, mover.act(info), again)
        if name == "fall":
            info = env.set_state(with_falling_object(env, rng))
        recorded: list[dict[str, np.ndarray]] = []
        for _ in range(self.settings.frames):
            seen = {"frames": env.camera_frames()} | labels(env, info)
            actions = np.full((self.settings.stride, NUM_ACTIONS), np.nan, np.float32)
            for step in range(self.settings.stride):
                action, info = _step(env, mover.act(info), again)
                actions[step, :num_actions] = action
            recorded.append(seen | {"labels/actions": np.broadcast_to(actions, (len(env.cameras), *actions.shape))})
        return name, {key: np.stack([moment[key] for moment in recorded], axis=1) for key in recorded[0]}, first


def _step(env: TaskEnv, action: np.ndarray, again: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """One control step without pictures; play goes on where a task would be over, after a failure from start `again` (None: the next).

    Returns what was executed and the new info.
    """
    action = np.clip(action, -1, 1).astype(np.float32)
    terminated, truncated, info = env.advance(action)
    if info["failure"] is not None:  # the physics died
        _, info = env.reset(options=again)
    elif terminated or truncated:
        info = env.set_state(env.get_state())
    return action, info


def with_falling_object(env: TaskEnv, rng: np.random.Generator) -> np.ndarray:
    """The present state (n,) with one loose object lifted, turned and moving, so that it falls, rolls or slides by itself."""
    import mujoco

    model, state = env.simulation.sim.model._model, env.get_state()
    loose = [joint for joint in range(model.njnt) if int(model.jnt_type[joint]) == int(mujoco.mjtJoint.mjJNT_FREE)]
    if not loose:
        return state
    joint = int(rng.choice(loose))
    qpos, qvel = 1 + model.jnt_qposadr[joint], 1 + model.nq + model.jnt_dofadr[joint]
    state[qpos + 2] += rng.uniform(*FALL_M)
    turn = rng.standard_normal(4)
    state[qpos + 3 : qpos + 7] = turn / np.linalg.norm(turn)
    state[qvel : qvel + 6] = np.append(rng.uniform(-0.5, 0.5, 3), rng.uniform(-3, 3, 3))
    return state


def labels(env: TaskEnv, info: dict[str, Any]) -> dict[str, np.ndarray]:
    """Where gripper and objects are, for each camera: {name: (cameras, …)}."""
    things = sorted(key for key in info if key.startswith("privileged/") and key.endswith("_pos_world") and key not in NO_OBJECTS)
    things.sort(key=lambda name: (name != "privileged/target_pos_world", env.split is not None and name != "privileged/reference_pos_world"))
    num_objects = NUM_THINGS if env.split else NUM_OBJECTS
    objects = np.full((num_objects, 3), np.nan, np.float32)
    for index, name in enumerate(things[:num_objects]):
        objects[index, : len(info[name])] = info[name]
    gripper = np.asarray(info.get("privileged/gripper_pos_world", np.full(3, np.nan)), np.float32)
    pixels = np.stack([env.project(camera, objects.astype(np.float64), env.size, env.size) for camera in env.cameras])
    count = len(env.cameras)
    return {
        "labels/gripper_pos_world": np.broadcast_to(gripper, (count, 3)),
        "labels/objects_pos_world": np.broadcast_to(objects, (count, num_objects, 3)),
        "labels/objects_pixel": pixels.astype(np.float32),
    }


def place_of(take: int, tasks: list[str], cameras: dict[str, tuple[str, ...]]) -> tuple[str, int]:
    """The task of a take (they take turns) and the number of its first clip."""
    rounds, position = divmod(take, len(tasks))
    widths = [len(cameras[task]) for task in tasks]
    return tasks[position], rounds * sum(widths) + sum(widths[:position])


def main(settings: Settings) -> None:
    check_simulator()
    with owned(settings.out) as folder:
        claim(folder, settings.content())
        if (folder / "index.json").exists():
            print(f"in {folder} already: {counted(settings.clips, 'clip')}")
            return
        check_writable("out", folder)
        for name, (shape, kind) in settings.arrays().items():
            path = part(folder, name)
            path.parent.mkdir(exist_ok=True)
            if not path.exists() and not (folder / f"{name}.npy").exists():
                _create(path, shape, kind)
        play(settings, folder)
        finish(settings, folder)
    print(f"{counted(settings.clips, 'clip')} of {counted(settings.frames, 'frame')} in {folder}")


def _create(path: Path, shape: tuple[int, ...], kind: type) -> None:
    with atomic(path) as new, ArrayFile(new, shape, kind) as array:
        if kind is not np.uint8:
            array.fill(np.nan)


def play(settings: Settings, folder: Path) -> None:
    """Plays the takes that `takes.jsonl` lacks."""
    import envs

    cameras = {task: tuple(envs.task_class(task).default_cameras) for task in settings.names}
    todo, take = [], 0
    known = {row["take"] for row in _taken(folder)}
    while place_of(take, settings.names, cameras)[1] < settings.clips:
        if take not in known:
            todo.append(take)
        take += 1
    began, done, running = time.monotonic(), 0, set[Future[dict[str, Any]]]()
    if not todo:
        return
    with workers(settings.num_workers, Player, settings, cameras) as submit:
        waiting = iter(todo)
        while done < len(todo):
            while len(running) < 2 * settings.num_workers - 1 and (number := next(waiting, None)) is not None:
                running.add(submit(number))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                append_row(folder / "takes.jsonl", future.result())
                done += 1
                if done % 20 == 0 or done == len(todo):
                    left = int((time.monotonic() - began) / done * (len(todo) - done))
                    print(f"take {done}/{len(todo)} · {left // 60}:{left % 60:02d} left", flush=True)


def _taken(folder: Path) -> list[dict[str, Any]]:
    from envs.demos.records import Take  # where a file is read, not where a command starts

    return read_rows(folder / "takes.jsonl", Take)


def finish(settings: Settings, folder: Path) -> None:
    """Gives the whole arrays their names and writes the index."""
    rows = {row["take"]: row for row in _taken(folder)}
    clips = []
    for take in sorted(rows):
        row = rows[take]
        common = {name: row[name] for name in ("take", "task", "motion", "varied", "init_hash", "things", "looks", "instruction") if name in row}
        clips += [{"clip": row["first_clip"] + i, "camera": camera, **common} for i, camera in enumerate(row["cameras"])]
    for name in settings.arrays():
        if part(folder, name).exists():
            replace(part(folder, name), folder / f"{name}.npy")
    index = settings.content() | {"hz": 20 / settings.stride, "versions": stamp(), "clip_list": clips[: settings.clips]}
    write_json(folder / "index.json", json.loads(json.dumps(index)))


if __name__ == "__main__":
    command("envs.conf", "play", Settings, main)
