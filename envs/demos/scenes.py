"""`python -m envs.demos.scenes tasks=… out=…`: pairs of pictures of random scenes, with labels, for probes of frozen
tokens (policy.probe).

Nothing is simulated: objects and arm are placed, twice, and rendered. A folder for each task:

    frames.npy    (scenes, cameras, 2, h, w, 3) uint8: frames t and t+k; those to fit a probe to come first, then the held-out ones
    labels.npz    for every scene:
      target_pos_world   (scenes, 2, 3) m, in both frames; on the table in the first
      objects_pos_world  (scenes, 2, objects, 3) m, the target first
      gripper_pos_world  (scenes, 2, 3) m
      visible_pixels     (scenes, cameras): of the target in the first frame; 0 if it is hidden or out of view
      motion             (scenes,): a number into `envs.demos.arrange.MOTIONS`
    and in version 1 of the tasks, with four objects of named colours and shapes:
      colours, shapes    (scenes, objects): numbers into the lists in index.json
      objects_pixel      (scenes, cameras, 2, objects, 2): column, row in the pictures, also if hidden or out of view
      objects_visible    (scenes, cameras, objects): pixels of each in the first frame; 0 if it is hidden or out of view
    index.json    settings, cameras, motions; in version 1 also the words: names of colours and shapes, `phrases` for an object, `sentences` of the tasks
                  for training and `unseen_sentences`, with {a} for the target and {b} for the object that it is put beside or on: written last

In version 1 the hand is near one of the objects in half of the scenes, as when it grasps, and at least one camera sees the target.

With `targets=[can,lime]` there is a folder for each task and target, named after both (`pick_at_xy_can`): the target is that object, among others and simple
shapes, or a cube of that colour.

With `moving=true` the hand moves and one object drifts in each scene, at 0 to 12 cm/s for 0.2 s (`envs.demos.drift`).
Labels: objects_pos_world and gripper_pos_world as above, motion: the number of the object that drifts, and for the later frame

      objects_place      (scenes, cameras, objects, 2): each object's centre in the picture, x to the right and y down, from 0 to 1
      visible_pixels     (scenes, cameras, objects)

A scene is a function of the settings and its number only, so a smaller folder equals the beginning of a larger one.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import numpy as np

from envs.demos.scenes_settings import Settings
from envs.demos.workers import workers
from whatwhere.arrays import ArrayFile, write_npz
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.files import atomic, write_json
from whatwhere.owned import claim, owned
from whatwhere.versions import check_simulator, stamp

BLOCK = 50  # scenes a worker draws at a time


class Photographer:
    """Draws blocks of scenes of one task and target; every worker process has its own."""

    def __init__(self, settings: Settings, task: str, target: str | None) -> None:
        from envs.demos.arrange import Stage
        from envs.demos.drift import DriftStage

        kind = DriftStage if settings.moving else Stage
        self.settings = settings
        self.stage = kind(task, settings.size, settings.rendering, settings.distractors, settings.version, settings.split, target)

    def __call__(self, first: int) -> dict[str, np.ndarray]:
        """Scenes first … first + BLOCK − 1, stacked."""
        settings = self.settings
        scenes = []
        for number in range(first, min(first + BLOCK, settings.scenes + settings.held_out)):
            held_out = number >= settings.scenes
            key = [settings.seed + held_out, number - settings.scenes * held_out]
            scenes.append(self.stage.scene(np.random.default_rng([int.from_bytes(b"scenes"), *key])))
        return {name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]}

    def close(self) -> None:
        self.stage.close()


def main(settings: Settings) -> None:
    check_simulator()
    for name, task, target in settings.folders:
        content = settings.content(task, target)
        with owned(Path(settings.out) / name) as folder:
            claim(folder, content)
            if (folder / "index.json").exists():
                print(f"{folder}: there already")
                continue
            check_writable("out", folder)
            write_json(folder / "index.json", content | draw(settings, task, target, folder) | {"versions": stamp()})
            print(f"{folder}: {settings.scenes} scenes and {settings.held_out} held-out ones")


def draw(settings: Settings, task: str, target: str | None, folder: Path) -> dict[str, Any]:
    """Draws all scenes of a task and target, and writes pictures and labels.

    Returns what the labels count by: cameras, and motions or seconds between the frames.
    """
    import envs
    from envs.demos.arrange import MOTIONS

    cameras = list(envs.task_class(task).default_cameras)
    count, size = settings.scenes + settings.held_out, settings.size
    labels: dict[str, np.ndarray] = {}
    began, done, shape = time.monotonic(), 0, (count, len(cameras), 2, size, size, 3)
    with contextlib.ExitStack() as open_files:
        frames = open_files.enter_context(ArrayFile(open_files.enter_context(atomic(folder / "frames.npy")), shape, np.uint8))
        submit = open_files.enter_context(workers(settings.num_workers, Photographer, settings, task, target))
        waiting, running = iter(range(0, count, BLOCK)), dict[Future[dict[str, np.ndarray]], int]()
        while done < count:
            while len(running) < 2 * settings.num_workers - 1 and (first := next(waiting, None)) is not None:
                running[submit(first)] = first
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                first, block = running.pop(future), future.result()
                rows = slice(first, first + len(block["motion"]))
                frames.write((first,), block.pop("frames"))
                for name, values in block.items():
                    labels.setdefault(name, np.zeros((count, *values.shape[1:]), values.dtype))[rows] = values
                done += rows.stop - rows.start
            left = int((time.monotonic() - began) / done * (count - done))
            print(f"\r{folder.name}: scene {done}/{count} · {left // 60}:{left % 60:02d} left ", end="", flush=True)
    print()
    write_npz(folder / "labels.npz", **labels)
    if settings.moving:
        from envs.demos.drift import SECONDS

        return {"cameras": cameras, "seconds": SECONDS}
    return {"cameras": cameras, "motions": list(MOTIONS)}


if __name__ == "__main__":
    command("envs.conf", "scenes", Settings, main)
