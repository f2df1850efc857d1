"""`python -m eval.bench policy`: what a query costs on one core, by each way to compute it, with each head and each join; one fine-tuning from 25 demos."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eval.benches.child import run
from eval.benches.figure import Figure
from eval.benches.heads import heads
from eval.benches.joins import joins
from eval.benches.queries import seconds_of, untrained
from eval.benches.settings import Settings
from policy.encoders import ENCODERS
from whatwhere.cores import usable_cores
from whatwhere.counted import counted
from whatwhere.files import read_json

QUERY_MS, STEP_MS, FINETUNE_MINUTES = 30, 10, 3  # minutes on two cores
TASK, NUM_DEMOS, CHECKPOINT = "pick_at_xy", 25, "pick_at_xy/pixelwise"


def measure(settings: Settings) -> list[Figure]:
    """Prints and returns the figures. The query is timed in a process of its own, so that one thread is all it ever had."""
    figures = []
    for encoder in ENCODERS:
        line = subprocess.run([sys.executable, "-m", "eval.benches.policy", encoder, str(settings.size)], check=True, capture_output=True, text=True).stdout
        bar = QUERY_MS if encoder == "pixelwise" else None
        figures.append(Figure(f"query, two cameras, one core: {encoder}", float(line), "ms", at_most=bar))
        print(figures[-1], flush=True)
    for part in (ways(), heads(), joins(), finetuning()):
        for figure in part:
            figures.append(figure)
            print(figure, flush=True)
    return figures


def query_ms(encoder: str, size: int, queries: int = 40) -> float:
    """Median milliseconds of `Agent.act` with random weights."""
    from policy.config import PolicyConfig

    return float(1000 * np.median(seconds_of([untrained(PolicyConfig(encoder=encoder, size=size))], queries)))


def ways() -> list[Figure]:
    """A query of the shipped policy by each way to compute it, and what of the fastest that needs nothing more falls to a control step."""
    from policy.export.onnx_file import OnnxFile
    from policy.inference import INFERENCES

    with tempfile.TemporaryDirectory() as folder:
        names = {name: name for name in INFERENCES}
        if all(importlib.util.find_spec(name) for name in OnnxFile.needs):
            names |= {name: str(Path(folder) / f"{name}.onnx") for name in ("onnx", "onnx_int8")}
            for name in ("onnx", "onnx_int8"):
                run("policy.export", f"checkpoint={CHECKPOINT}", f"int8={name == 'onnx_int8'}", f"out={names[name]}")
        command = [sys.executable, "-m", "eval.benches.policy", *names.values()]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ms = dict(zip(names, told["ms"], strict=True))
    figures = [Figure(f"query, {CHECKPOINT}: inference={name}", value, "ms", note=f"{value / ms['plain']:.2f} of plain") for name, value in ms.items()]
    still = [(name, value, value / ms[name]) for name, value in told["still_ms"].items()]  # where M is looked up and not computed
    figures += [Figure(f"  where nothing moved: inference={name}", value, "ms", note=f"{share:.2f} of one where something did") for name, value, share in still]
    share = Figure("a control step's share of it", ms[told["auto"]] / told["execute"], "ms", at_most=STEP_MS, note=f"{told['auto']}, execute={told['execute']}")
    return [*figures, share]


def ways_ms(names: list[str], queries: int = 60) -> dict[str, Any]:
    """Median milliseconds of `Agent.act` by each way, taking turns, also where nothing moved; which `auto` is, and how many actions an answer is for."""
    from policy.agent import Agent
    from policy.inference import INFERENCES

    agents = [Agent.from_pretrained(CHECKPOINT, "cpu", inference=name) for name in names]
    auto = Agent.from_pretrained(CHECKPOINT, "cpu").inference
    ms, still = ((1000 * np.median(seconds_of(agents, queries, still), axis=0)).tolist() for still in (False, True))
    looked_up = {name: value for name, value in zip(names, still, strict=True) if name in INFERENCES}  # exported files compute what they are given
    return {"ms": ms, "still_ms": looked_up, "auto": auto, "execute": agents[0].config.execute}


def finetuning() -> Iterator[Figure]:
    """`policy.finetune` from 25 demonstrations, which are collected before the clock runs; streams' tokens are cached anew."""
    with tempfile.TemporaryDirectory() as folder:
        demos, out, cache = (Path(folder) / name for name in ("demos", "out", "cache"))
        run("envs.demos.collect", f"task={TASK}", f"n={NUM_DEMOS}", "seed=0", f"out={demos}", f"num_workers={usable_cores()}")
        seconds = run("policy.finetune", f"task={TASK}", "encoder=pixelwise", f"demos={demos}", f"num_demos={NUM_DEMOS}", f"out={out}", f"cache={cache}")
        steps = read_json(out / "config.json", dict[str, Any])["training"]["seconds"]
    note = f"{counted(usable_cores(), 'core')}; {steps / 60:.2f} min of it are training steps"
    yield Figure(f"fine-tune pixelwise, {NUM_DEMOS} demos, caching included", seconds / 60, "min", at_most=FINETUNE_MINUTES, note=note)


if __name__ == "__main__":
    print(query_ms(sys.argv[1], int(sys.argv[2])) if sys.argv[1] in ENCODERS else json.dumps(ways_ms(sys.argv[1:])))
