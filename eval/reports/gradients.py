"""The measurement behind `python -m eval.gradients`: numbers, a table and heat maps."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.reports.gradient_settings import Settings
from policy.encoders import ENCODERS, FROM_SCRATCH
from policy.gradient_flow import GradientFlow, gradient_flow
from policy.model import Policy, build
from policy.storage.checkpoint import Checkpoint, load
from policy.training.dataset import Demos, load_demos
from policy.training.device import choose_device, use_processor
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import atomic, write_json, write_text

TABLE = ("patch", "m_share", "cls_share", "entropy_m", "entropy_p")


def measure(settings: Settings) -> list[dict[str, Any]]:
    """Prints a table and writes it, and a picture, to `out`. Raises BadInput for policies and demonstrations that do not fit each other."""
    use_processor(settings.num_threads)
    device, out = choose_device(settings.device), Path(settings.out)
    check_writable("out", out)
    known = {name: load(name, device) for name in settings.checkpoints}
    first = next(iter(known.values()))
    demos = load_demos(str(settings.demos), settings.num_demos, first.policy.config.chunk)
    rows = np.sort(np.random.default_rng(settings.seed).integers(0, len(demos), settings.samples))
    found: list[tuple[str, GradientFlow]] = []
    for name, checkpoint in known.items():
        found.append((f"{name}, trained", of(checkpoint.policy, checkpoint, demos, rows, settings)))
    for encoder in [name for name in ENCODERS if name not in FROM_SCRATCH] if settings.begin else []:
        torch.manual_seed(settings.seed)
        policy = build(dataclasses.replace(first.policy.config, encoder=encoder), first.policy.streams).to(device)
        found.append((f"{encoder}, before training", of(policy, first, demos, rows, settings)))
    records = [{"policy": name} | flow.summary() for name, flow in found]
    print(_text(records, len(rows)))
    write_json(out / "gradients.json", {"settings": dataclasses.asdict(settings), "demos": demos.digest, "records": records})
    table = io.StringIO()
    writer = csv.DictWriter(table, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(out / "gradients.csv", table.getvalue())
    draw(found, demos.frames[rows[len(rows) // 2], 0], len(rows) // 2, first.policy.streams.grid, out / "gradients.png")  # type: ignore[union-attr]
    print(out / "gradients.png")
    return records


def of(policy: Policy, checkpoint: Checkpoint, demos: Demos, rows: np.ndarray, settings: Settings, batch: int = 16) -> GradientFlow:
    """Of the samples `rows`. Raises BadInput."""
    config, shape = policy.config, demos.frames.shape[1:]
    if shape != (len(config.cameras), config.size, config.size, 3) or demos.chunks.shape[2] != config.action_dim:
        raise BadInput(f"demos={settings.demos}: pictures {shape}; {checkpoint.folder} needs {(len(config.cameras), config.size, config.size, 3)}")
    if config.latency or config.change != "past" or demos.own.shape[1] != config.own_dim:
        raise BadInput(f"checkpoints={checkpoint.folder}: only policies that see the newest picture and proprio of one step can be compared here")
    proprio = torch.from_numpy(checkpoint.normalisation["proprio"].normalise(demos.own)).float()
    chunks = torch.from_numpy(checkpoint.normalisation["actions"].normalise(demos.chunks)).float()
    chunks, valid = chunks[:, : config.chunk], torch.from_numpy(demos.valid)
    codes = torch.stack([policy.language.code(instruction) for instruction in demos.instructions])
    device, parts = next(policy.parameters()).device, []
    torch.manual_seed(settings.seed)  # of heads that draw
    for part in np.array_split(rows, -(-len(rows) // batch)):
        frames = torch.from_numpy(np.stack([demos.frames[demos.previous[part]], demos.frames[part]], axis=2))
        given = (frames, proprio[part], codes[demos.told[part]], chunks[part], valid[part])
        parts.append(gradient_flow(policy, *(one.to(device) for one in given)))
    return GradientFlow(*(torch.cat([getattr(part, name) for part in parts]).cpu() for name in ("m", "p", "cls")))


def _text(records: list[dict[str, Any]], samples: int) -> str:
    width = max(len(record["policy"]) for record in records)
    lines = [f"{'':{width}}" + "".join(f"{name:>12}" for name in TABLE)]
    lines += [f"{record['policy']:{width}}" + "".join(f"{'–' if record[name] is None else f'{record[name]:.3g}':>12}" for name in TABLE) for record in records]
    return "\n".join([*lines, f"means of {samples} samples; entropies: 1 where every patch gets the same"])


def draw(found: list[tuple[str, GradientFlow]], picture: np.ndarray, sample: int, grid: tuple[int, int], path: Path) -> None:
    """A row a policy: the mean over samples of P and M in the first camera, and P and M of one sample over its picture. Each map has its own scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(found), 4, figsize=(8.4, 2.1 * len(found)), squeeze=False, layout="constrained")
    extent = (0, picture.shape[1], picture.shape[0], 0)
    for line, (name, flow) in zip(axes, found, strict=True):
        maps = (flow.p[:, 0].mean(0), flow.m[:, 0].mean(0), flow.p[sample, 0], flow.m[sample, 0])
        for number, (axis, one) in enumerate(zip(line, maps, strict=True)):
            values = one.reshape(grid).numpy()
            if number > 1:
                axis.imshow(picture)
            axis.imshow(values, extent=extent, vmin=0, vmax=max(float(values.max()), 1e-12), cmap="magma", alpha=1.0 if number < 2 else 0.6)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name.replace(", ", "\n"), fontsize=7)
    for axis, title in zip(axes[0], ("P, mean", "M, mean", "P, one sample", "M, one sample"), strict=True):
        axis.set_title(title, fontsize=8)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
