"""`python -m eval.bench policy`: what a policy costs. One query on one core; one fine-tuning from 25 demonstrations, token caching included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from eval.benches.figure import Figure
from eval.benches.settings import Settings
from policy.encoders import ENCODERS

QUERY_MS, FINETUNE_MINUTES = 30, 10
TASK, NUM_DEMOS = "pick_at_xy", 25


def measure(settings: Settings) -> list[Figure]:
    """Prints and returns the figures. The query is timed in a process of its own, so that one thread is all it ever had."""
    figures = []
    for encoder in ENCODERS:
        line = subprocess.run([sys.executable, "-m", "eval.benches.policy", encoder, str(settings.size)], check=True, capture_output=True, text=True).stdout
        bar = QUERY_MS if encoder == "pixelwise" else None
        figures.append(Figure(f"query, two cameras, one core: {encoder}", float(line), "ms", at_most=bar))
        print(figures[-1], flush=True)
    figures.append(Figure("fine-tune pixelwise, 25 demos, caching included", _finetune_minutes(), "min", at_most=FINETUNE_MINUTES))
    print(figures[-1], flush=True)
    return figures


def query_ms(encoder: str, size: int, queries: int = 40) -> float:
    """Median milliseconds of `Agent.act` on one thread, over random pictures from two cameras, with random weights."""
    import torch

    from policy.agent import Agent
    from policy.config import PolicyConfig
    from policy.model import build
    from policy.transforms import Affine

    torch.set_num_threads(1)
    config = PolicyConfig(encoder=encoder, size=size)
    agent = Agent(build(config), {"proprio": Affine.identity(config.proprio_dim), "actions": Affine.identity(config.action_dim)})
    rng = np.random.default_rng(0)
    seconds = []
    for _ in range(queries):
        frames = rng.integers(0, 256, (len(config.cameras), 2, size, size, 3), dtype=np.uint8)
        observation = {"frames": frames, "proprio": np.zeros(config.proprio_dim, np.float32), "instruction": "pick up the red cube"}
        begin = time.perf_counter()
        agent.act(observation)
        seconds.append(time.perf_counter() - begin)
    return 1000 * median(seconds[queries // 4 :])


def _finetune_minutes() -> float:
    with tempfile.TemporaryDirectory() as folder:
        demos, out, cache = (Path(folder) / name for name in ("demos", "out", "cache"))
        _run("envs.demos.collect", f"task={TASK}", f"n={NUM_DEMOS}", "seed=0", f"out={demos}")
        begin = time.perf_counter()
        _run("policy.finetune", f"task={TASK}", "encoder=pixelwise", f"demos={demos}", f"num_demos={NUM_DEMOS}", f"out={out}", f"cache={cache}")
        return (time.perf_counter() - begin) / 60


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    print(query_ms(sys.argv[1], int(sys.argv[2])))
