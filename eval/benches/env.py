"""`python -m eval.bench env`: control steps beside stock robosuite's, fast pictures beside exact ones, and whether physics stays the same."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.benches.figure import Figure
from eval.benches.settings import Settings
from whatwhere.counted import counted
from whatwhere.files import atomic

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

    from envs.base import TaskEnv
    from envs.rendering import Renderer

CAMERAS = ("agentview", "robot0_eye_in_hand")
WHOLE_ROBOT = ("frontview",)  # looked at besides the cameras of policies
CONTROL_HZ = 20
STEP_RATIO = 20.0
SAME_STEPS = 200
LEAST_IOU, LEAST_PIXELS = 0.95, 50


def measure(settings: Settings) -> list[Figure]:
    """Prints each figure as it comes."""
    from envs import TASKS
    from envs.rendering import prepare_gl

    backend, renderer = prepare_gl()
    print(f"{backend}, {renderer}; {settings.size} px; {settings.rounds} alternating rounds of {counted(settings.steps, 'step')}", flush=True)
    figures = []
    parts = [against_stock(settings)]
    parts += [fast_against_exact(settings, task) for task in settings.tasks or TASKS]
    for part in parts:
        for figure in part:
            print(figure, flush=True)
            figures.append(figure)
    return figures


def against_stock(settings: Settings) -> Iterator[Figure]:
    """`env.step` with both cameras: `stack_centered` beside robosuite's own Stack, in two processes that take turns."""
    context = multiprocessing.get_context("spawn")
    workers, ends = [], []
    for kind in ("stock", "ours"):
        here, there = context.Pipe()
        workers.append(context.Process(target=_serve, args=(kind, settings.size, settings.seed, there), daemon=True))
        workers[-1].start()
        there.close()
        ends.append(here)
    rounds: list[list[float]] = [[], []]
    try:
        for end in ends:
            end.recv()  # ready
        for _ in range(settings.rounds):
            for end, times in zip(ends, rounds, strict=True):
                end.send(settings.steps)
                times.append(end.recv())
    finally:
        for end, worker in zip(ends, workers, strict=True):
            end.close()
            worker.join(10)
            worker.kill()
    stock, ours = (statistics.median(times) for times in rounds)
    yield Figure("env.step, two cameras, stock robosuite (Stack, Panda)", 1000 * stock, "ms", note=_spread(rounds[0]))
    yield Figure("env.step, two cameras, ours (stack_centered)", 1000 * ours, "ms", note=_spread(rounds[1]))
    yield Figure("  times as fast", stock / ours, at_least=STEP_RATIO)


def _spread(times: list[float]) -> str:
    return f"rounds {1000 * min(times):.1f}–{1000 * max(times):.1f} ms"


def _serve(kind: str, size: int, seed: int, connection: Connection) -> None:
    """A process with one environment: steps as often as it is told, and answers with the median seconds of a step."""
    env = stock_stack(size) if kind == "stock" else _ours("stack_centered", size)
    rng = np.random.default_rng(seed)
    _begin(env, kind, seed)
    _timed_steps(env, kind, rng, 3)  # compilation and caches
    connection.send("ready")
    try:
        while True:
            steps = connection.recv()
            _begin(env, kind, seed)
            connection.send(statistics.median(_timed_steps(env, kind, rng, steps)))
    except EOFError:
        env.close()


def stock_stack(size: int) -> Any:
    """robosuite's Stack as its documentation makes it, with our cameras, resolution and control rate (OSC_POSE is its default for Panda)."""
    from envs.rendering import prepare_gl
    from envs.rendering.gl import hidden

    prepare_gl()
    os.environ.pop("LP_NUM_THREADS", None)  # ours, not stock
    importlib.import_module("envs.tasks")  # imports robosuite quietly
    import robosuite

    cameras = {"camera_names": list(CAMERAS), "camera_heights": size, "camera_widths": size, "use_camera_obs": True, "has_offscreen_renderer": True}
    with hidden("CUDA_VISIBLE_DEVICES"):
        return robosuite.make("Stack", robots="Panda", has_renderer=False, control_freq=CONTROL_HZ, hard_reset=False, ignore_done=True, **cameras)


def _ours(task: str, size: int, rendering: str = "fast", horizon: int = 10**6) -> TaskEnv:
    import envs

    return envs.make(task, size=size, rendering=rendering, horizon=horizon)


def _begin(env: Any, kind: str, seed: int) -> None:
    if kind == "stock":
        env.reset()
    else:
        env.reset(seed=seed)


def _timed_steps(env: Any, kind: str, rng: np.random.Generator, steps: int) -> list[float]:
    times = []
    for _ in range(steps):
        action = rng.uniform(-0.3, 0.3, 7)
        start = time.perf_counter()
        env.step(action)
        times.append(time.perf_counter() - start)
    return times


def fast_against_exact(settings: Settings, task: str) -> Iterator[Figure]:
    """One task: the time of a picture, the overlap of what is seen, and equal physics, fast against exact."""
    from envs.catalogue import RENDERINGS
    from envs.rendering import Renderer

    fast, exact = (_ours(task, settings.size, rendering) for rendering in RENDERINGS)
    yield _same_physics(task, fast, exact, settings.seed)
    exact.close()
    model, data = fast.simulation.sim.model._model, fast.simulation.sim.data._data
    views = list(dict.fromkeys([*fast.cameras, fast.scene_camera, *(name for name in WHOLE_ROBOT if name in _camera_names(model))]))
    renderers = {rendering: Renderer(model, mode=rendering) for rendering in RENDERINGS}
    try:
        times: dict[str, list[float]] = {rendering: [] for rendering in RENDERINGS}
        overlaps = []
        for episode in range(settings.states):
            fast.reset(seed=settings.seed, options={"episode": episode})
            rng = np.random.default_rng(episode)
            fast.step_chunk(np.tile(rng.uniform(-1, 1, fast.action_dim), (rng.integers(1, 20), 1)))  # somewhere else
            for camera in views:
                if camera in fast.cameras:
                    for rendering, renderer in renderers.items():
                        times[rendering].append(_draw_time(renderer, data, camera, settings.size))
                overlaps += link_overlaps(renderers["fast"], renderers["exact"], model, data, camera, settings.size)
        medians = {rendering: 1000 * statistics.median(values) for rendering, values in times.items()}
        yield Figure(f"{task}: a picture, exact", medians["exact"], "ms")
        yield Figure(f"{task}: a picture, fast", medians["fast"], "ms")
        yield Figure("  times as fast", medians["exact"] / medians["fast"])
        least, body, camera = min(overlaps)
        yield Figure(f"{task}: least overlap (IoU) of a link or object", least, at_least=LEAST_IOU, note=f"{body} in {camera}; {len(overlaps)} compared")
        if settings.pictures is not None:
            fast.reset(seed=settings.seed)
            side_by_side(list(renderers.values()), data, views, Path(settings.pictures) / f"{task}.png")
    finally:
        for renderer in renderers.values():
            renderer.close()
        fast.close()


def _same_physics(task: str, fast: TaskEnv, exact: TaskEnv, seed: int) -> Figure:
    states: list[list[bytes]] = []
    for env in (fast, exact):
        env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        seen = [env.get_state().tobytes()]
        while len(seen) <= SAME_STEPS:
            actions = rng.uniform(-1, 1, (4, env.action_dim))
            _, _, terminated, truncated, _, _ = env.step_chunk(actions, on_step=lambda env, action, info, seen=seen: seen.append(env.get_state().tobytes()))
            if terminated or truncated:
                env.reset()
        states.append(seen)
    differing = sum(a != b for a, b in zip(*states, strict=True))
    return Figure(f"{task}: states of {len(states[0]) - 1} that differ, fast against exact", differing, at_most=0)


def _camera_names(model: MjModel) -> list[str]:
    return [model.camera(index).name for index in range(model.ncam)]


def _draw_time(renderer: Renderer, data: MjData, camera: str, size: int) -> float:
    """Seconds of a picture: of the processor where that draws, since other processes then do not count; else by the clock."""
    from envs.rendering.gl import is_software, prepare_gl

    clock = time.process_time if is_software(prepare_gl()[1]) else time.perf_counter
    renderer.draw(data, camera, size, size)  # caches
    start = clock()
    renderer.draw(data, camera, size, size)
    return clock() - start


def link_overlaps(fast: Renderer, exact: Renderer, model: MjModel, data: MjData, camera: str, size: int) -> list[tuple[float, str, str]]:
    """(IoU, body, camera) of every body that covers at least 50 pixels in either picture of the same state."""
    body = np.append(model.geom_bodyid, -1)
    first, second = (body[renderer.draw(data, camera, size, size, segmentation=True)] for renderer in (fast, exact))
    found = []
    for index in np.unique(np.stack([first, second])):
        a, b = first == index, second == index
        if index >= 0 and max(a.sum(), b.sum()) >= LEAST_PIXELS:
            found.append((float((a & b).sum() / (a | b).sum()), model.body(index).name, camera))
    return found


def side_by_side(renderers: Sequence[Renderer], data: MjData, cameras: Sequence[str], path: Path, size: int = 208) -> None:
    """A PNG with a row a renderer (fast, exact) and a column a camera."""
    import imageio.v3 as imageio

    rows = [np.concatenate([renderer.draw(data, camera, size, size) for camera in cameras], axis=1) for renderer in renderers]
    with atomic(path) as temporary:
        imageio.imwrite(temporary, np.concatenate(rows), extension=".png")
