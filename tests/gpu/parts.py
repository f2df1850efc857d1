"""The parts of `tests/gpu/run.sh`: each prints its figures, and what is not as it must be ends the run with exit code 1."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.demos.episodes import Episode, write_episode
from policy.agent import Agent
from policy.storage.checkpoint import load
from whatwhere.cores import usable_cores
from whatwhere.files import read_json, read_rows, write_json

AGREE = 1e-3  # of an action's numbers, which range from -1 to 1
MANY = 64  # environments that are answered at once
ROOT = Path(__file__).resolve().parents[2]
EPISODE_STEPS = 45  # about as long as a pick


def pictures(rng: np.random.Generator, *shape: int, size: int) -> np.ndarray:
    """Smooth ones, uint8 (…, h, w, 3): noise would be like no camera's picture."""
    coarse = rng.integers(0, 256, (*shape, size // 16, size // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=-3).repeat(16, axis=-2)


def observation(agent: Agent, rng: np.random.Generator) -> dict[str, Any]:
    config = agent.config
    proprio = agent.normalisation["proprio"].unnormalise(rng.normal(size=config.own_dim))[: config.proprio_dim]
    frames = pictures(rng, len(config.cameras), 2, size=config.size)
    return {"frames": frames, "proprio": proprio.astype(np.float32), "instruction": "pick up the red cube"}


def agreement(device: str) -> Iterator[tuple[str, Any]]:
    """Every shipped policy answers on both as on one."""
    names = sorted(read_json(ROOT / "checkpoints" / "manifest.json", dict[str, Any])["checkpoints"])
    for name in names if device == "cuda" else names[:3]:
        here, there = (Agent.from_pretrained(name, where, inference="plain") for where in ("cpu", device))
        rng, apart = np.random.default_rng(0), 0.0
        for seed in range(4):
            seen = observation(here, rng)
            for agent in (here, there):
                agent.reset(seed)
                agent.act(seen)
            apart = max(apart, float(np.abs(here.chunk() - there.chunk()).max()))
        yield f"actions apart, {name}", apart
        if not apart <= AGREE:
            raise SystemExit(f"gpu: {name}: an action on {device} is off by {apart:.2g}, at most {AGREE}")


def rate(work: Callable[[], object], device: str, seconds: float = 3.0) -> float:
    """Times a second."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    work()
    wait()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        work()
        count += 1
    wait()
    return count / (time.perf_counter() - begin)


def queries(device: str) -> Iterator[tuple[str, Any]]:
    """One observation after the other, and those of many environments at once, which must be answered as each alone."""
    for where in dict.fromkeys(("cpu", device)):
        agent = Agent.from_pretrained("pick_at_xy/pixelwise", where, inference="plain")
        rng = np.random.default_rng(0)
        seen = observation(agent, rng)
        yield f"queries a second, one at a time, {where}", rate(lambda agent=agent, seen=seen: agent.act(seen), where)
        loaded = load("pick_at_xy/pixelwise", torch.device(where))
        many = [observation(agent, rng) for _ in range(MANY if device == "cuda" else 8)]
        frames = torch.from_numpy(np.stack([one["frames"] for one in many])).to(where)
        own = torch.from_numpy(loaded.normalisation["proprio"].normalise(np.stack([one["proprio"] for one in many]))).to(where)
        code = loaded.policy.language.code("pick up the red cube")[None].to(where)
        policy = loaded.policy.eval()

        def ask(chosen: slice, policy: Any = policy, frames: Any = frames, own: Any = own, code: Any = code) -> torch.Tensor:
            with torch.inference_mode():
                return policy.predict(frames[chosen], own[chosen], code.expand(len(own[chosen]), *code.shape[1:])).actions

        apart = float((ask(slice(None))[:1] - ask(slice(1))).abs().max())
        yield f"one of {len(many)} answered at once, off from alone, {where}", apart
        if not apart <= AGREE:
            raise SystemExit(f"gpu: an answer among {len(many)} is off by {apart:.2g} on {where}")
        yield f"queries a second, {len(many)} at once, {where}", len(many) * rate(lambda ask=ask: ask(slice(None)), where)


def demonstrations(folder: Path, count: int) -> None:
    """Of no task: only how long they take to learn from is of interest."""
    for number in range(count):
        rng = np.random.default_rng(number)
        facts = {
            "task": "pick_at_xy", "task_version": "0", "init_hash": f"{number:016x}", "seed": 0, "episode": number, "rendering": "fast", "size": 96,
            "cameras": ["agentview", "robot0_eye_in_hand"], "frame_gap": 4, "control_hz": 20, "horizon": 100, "versions": {}, "model_file": "<mujoco/>",
            "env_name": "PickAtXY",
        }  # fmt: skip
        actions = rng.uniform(-1, 1, (EPISODE_STEPS, 7)).astype(np.float32)
        states, proprio = rng.normal(size=(EPISODE_STEPS, 20)), rng.normal(size=(EPISODE_STEPS, 9)).astype(np.float32)
        frames = pictures(rng, EPISODE_STEPS, 2, size=96)
        told = Episode(actions=actions, states=states, proprio=proprio, frames=frames, success=True, instruction="pick up the red cube", attrs=facts)
        write_episode(folder / f"episode_{number}.hdf5", told)


def finetuning(device: str) -> Iterator[tuple[str, Any]]:
    """Steps a second over cached tokens, which a GPU holds, in bf16 there."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        demonstrations(folder / "demos", 25 if device == "cuda" else 2)
        for where, steps in ({"cpu": 20, "cuda": 1500} if device == "cuda" else {"cpu": 4}).items():
            precision = "bf16" if where == "cuda" else "auto"
            words = [f"demos={folder / 'demos'}", f"num_demos={25 if device == 'cuda' else 2}", f"steps={steps}", f"device={where}", f"precision={precision}"]
            words += [f"out={folder / where}", f"cache={folder / 'cache' / where}", f"shifts={4 if device == 'cuda' else 1}"]
            seconds = run("policy.finetune", "task=pick_at_xy", *words)
            trained = read_json(folder / where / "config.json", dict[str, Any])["training"]["seconds"]
            yield f"fine-tuning, steps a second, {where}", steps / max(trained, 0.1)
            yield f"fine-tuning, seconds in all for {steps} steps, {where}", seconds


def pretraining(device: str) -> Iterator[tuple[str, Any]]:
    """Steps a second, the start left out, in bf16 on a GPU."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "frames.npy", pictures(rng, 256 if device == "cuda" else 16, 12, size=96))
        for where, (few, many) in ({"cpu": (1, 6), "cuda": (20, 320)} if device == "cuda" else {"cpu": (1, 3)}).items():
            words = [f"data={folder}", f"device={where}", f"precision={'bf16' if where == 'cuda' else 'auto'}", "validate_every=0"]
            words += ["batch=64"] if device == "cuda" else ["batch=8", "dim=64", "depth=1", "heads=2"]
            took = [run("policy.pretrain", *words, f"steps={steps}", f"out={folder / where / str(steps)}") for steps in (few, many)]
            yield f"pre-training, steps a second, {where}", (many - few) / max(took[1] - took[0], 0.1)


def evaluation(device: str) -> Iterator[tuple[str, Any]]:
    """Environments on the processor, answers on the device: rows say so, and succeed as on the processor. Needs the simulator."""
    if importlib.util.find_spec("robosuite") is None:
        yield "evaluation", "skipped: no simulator here"
        return
    with tempfile.TemporaryDirectory() as place:
        for where in dict.fromkeys(("cpu", device)):
            out, episodes = Path(place) / where, 8 if device == "cuda" else 1
            seconds = run("eval.run", "task=pick_at_xy", f"episodes={episodes}", "seed=100000", "video=0", "inference=plain", f"device={where}", f"out={out}")
            rows = read_rows(out / "episodes.jsonl")
            if {row.get("device", "cpu") for row in rows} != {where}:
                raise SystemExit(f"gpu: rows of an evaluation on {where} say something else")
            yield f"evaluation, seconds for {episodes} episodes, {where}", seconds
            yield f"evaluation, successes of {episodes}, {where}", sum(row["success"] for row in rows)


def batched(device: str) -> Iterator[tuple[str, Any]]:
    """Episodes a second on the device, by a policy in each worker and by one for all (`queries=batched`); starts left out. Needs the simulator."""
    if importlib.util.find_spec("robosuite") is None:
        yield "evaluation, own and batched queries", "skipped: no simulator here"
        return
    num_envs = max(2, min(16, usable_cores()))
    episodes = 3 * num_envs if device == "cuda" else 2
    words = ["task=pick_at_xy", f"episodes={episodes}", "seed=100000", "video=0", "inference=plain", f"device={device}", f"num_envs={num_envs}"]
    with tempfile.TemporaryDirectory() as place:
        for queries in ("own", "batched"):
            out = Path(place) / queries
            run("eval.run", *words, f"queries={queries}", f"out={out}")
            rows = read_rows(out / "episodes.jsonl")
            if {row.get("queries", "own") for row in rows} != {queries}:
                raise SystemExit(f"gpu: rows of queries={queries} say something else")
            yield f"episodes a second, {num_envs} workers, queries={queries}", num_envs / float(np.median([row["wall_s"] for row in rows]))
            yield f"successes of {episodes}, queries={queries}", sum(row["success"] for row in rows)


def run(module: str, *words: str) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"gpu: {module} {' '.join(words)}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return time.perf_counter() - begin


def main(device: str) -> None:
    card = torch.cuda.get_device_name() if device == "cuda" else "the processor alone"
    print(f"gpu: {card}, torch {torch.__version__}", flush=True)
    told: dict[str, Any] = {"device": card, "torch": torch.__version__}
    for part in (agreement, queries, finetuning, pretraining, evaluation, batched):
        begin = time.perf_counter()
        for name, value in part(device):
            told[name] = value
            print(f"  {name:<64}{value if isinstance(value, str | int) else f'{value:.3g}'}", flush=True)
        print(f"  ({part.__name__}: {time.perf_counter() - begin:.0f} s)", flush=True)
    if out := os.environ.get("OUT"):
        write_json(Path(out) / "gpu.json", told)


if __name__ == "__main__":
    main(sys.argv[1])
