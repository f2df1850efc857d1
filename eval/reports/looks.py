"""The measurement behind `python -m eval.looks`: policies of a task are asked at the same moments, and what they looked at is drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.playing.policies import scripted
from eval.reports.looks_settings import Settings, placed
from policy.agent import Agent
from policy.fusion.gating import Gating
from policy.fusion.linear import Linear
from policy.shapes import StreamTokens
from policy.training.device import use_processor
from whatwhere.disk import check_writable
from whatwhere.files import atomic, write_json

Shown = tuple[np.ndarray, Any]  # the pictures of all cameras side by side, and a policy.look.Look or None


def measure(settings: Settings) -> list[dict[str, Any]]:
    """Prints a line a policy, and writes figures and pictures to `out`. Raises BadInput."""
    use_processor(settings.num_threads)
    check_writable("out", out := Path(settings.out))
    policies, shown, records = placed(settings.checkpoints), dict[tuple[str, str], Shown](), []
    for task in dict.fromkeys(task for _, task in policies):
        agents = {row: Agent.from_pretrained(name, "cpu") for (row, of), name in policies.items() if of == task}
        told: dict[str, list[dict[str, float]]] = {row: [] for row in agents}
        for number, obs in enumerate(moments(task, next(iter(agents.values())), settings)):
            for row, agent in agents.items():
                agent.reset(number)
                agent.act(obs)
                told[row].append(shares_of(agent))
                shown.setdefault((row, task), (obs["frames"][:, 1], agent.attention()))
        for row, of_each in told.items():
            means = {name: float(np.mean([one[name] for one in of_each])) for name in of_each[0]}
            records.append({"policy": row, "task": task, "moments": len(of_each)} | means)
            print(f"{task:16}{row:18}" + "  ".join(f"{name} {value:.2f}" for name, value in means.items()), flush=True)
    write_json(out / "looks.json", {"settings": dataclasses.asdict(settings), "records": records})
    _draw_looks(shown, out / "looks.png")
    _draw_shares(records, out / "shares.png")
    print(f"wrote looks.png, shares.png and looks.json to {out}")
    return records


def moments(task: str, agent: Agent, settings: Settings) -> Iterator[dict[str, Any]]:
    """What is seen in each start after `steps` control steps of the expert, or as many as its episode has."""
    import envs

    config, training = agent.config, {} if agent.checkpoint is None else agent.checkpoint.config.get("training") or {}
    env = envs.make(task, rendering=training.get("rendering") or "fast", size=config.size, frame_gap=config.frame_gap, cameras=config.cameras)
    try:
        expert = scripted("expert", task, config.action_dim)
        for episode in range(settings.starts):
            obs, info = env.reset(seed=settings.seed, options={"episode": episode})
            expert.reset(settings.seed, episode)
            for _ in range(settings.steps):
                obs, _, terminated, truncated, info = env.step(expert.act(obs, info)[0])
                if terminated or truncated:
                    break
            yield obs
    finally:
        env.close()


def shares_of(agent: Agent) -> dict[str, float]:
    """Of its last answer: `m` and `p`, the share of each stream in what leaving one out changes of the actions (0 for one that it does not see); of
    cameras, proprio and instruction likewise (policy.shares); `fused_m`, where the fusion tells it: M's share of the fused patches."""
    moved = {"m": 0.0, "p": 0.0} | (agent.influence() or {})
    total = sum(moved.values())
    found = {name: value / total if total else 0.0 for name, value in moved.items()} | (agent.shares() or {})
    share = fused_share(agent)
    return found if share is None else found | {"fused_m": share}


@torch.no_grad()
def fused_share(agent: Agent) -> float | None:
    """α of a gate; of a linear fusion the length of what comes from M beside that of what comes from P, mean over patches. None for other ways to join."""
    fuse, asked = getattr(agent.policy.encoder, "fuse", None), agent.asked
    if fuse is None or asked is None or not isinstance(fuse.patches, Gating | Linear):
        return None
    seen = agent.policy.look(torch.from_numpy(asked[0])[None])
    assert isinstance(seen, StreamTokens)
    m, p = seen.m_patches.flatten(0, 1), seen.p_patches.flatten(0, 1)
    if isinstance(fuse.patches, Gating):
        return float(fuse.patches.share(m, p).mean())
    of_m, of_p = fuse.patches.join.weight.chunk(2, dim=1)  # (d, 2d)
    long_m, long_p = ((tokens @ weight.T).norm(dim=-1) for tokens, weight in ((m, of_m), (p, of_p)))
    return float((long_m / (long_m + long_p)).mean())


def _draw_looks(shown: dict[tuple[str, str], Shown], path: Path) -> None:
    """A row a policy, a column a task: all cameras, bright where it attends, keypoints as dots. Encoders that keep no space look at no place."""
    plt, rows, tasks = _pyplot(), list(dict.fromkeys(row for row, _ in shown)), list(dict.fromkeys(task for _, task in shown))
    figure, axes = plt.subplots(len(rows), len(tasks), figsize=(4.2 * len(tasks), 2.4 * len(rows)), squeeze=False, layout="constrained")
    for line, row in zip(axes, rows, strict=True):
        for axis, task in zip(line, tasks, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(f"{task} · {row}", fontsize=8)
            if (row, task) not in shown:
                axis.set_visible(False)
                continue
            pictures, look = shown[row, task]
            size = pictures.shape[2]
            axis.imshow(np.concatenate(list(pictures), axis=1))
            if look is None:
                axis.set_xlabel("keeps no space", fontsize=7)
                continue
            for camera, (points, heat) in enumerate(zip(look.keypoints, look.heat, strict=True)):
                extent = (camera * size, (camera + 1) * size, size, 0)
                clear = 0.8 * heat / max(float(heat.max()), 1e-9)  # where it does not look, the picture stays as it is
                axis.imshow(heat, extent=extent, cmap="autumn", alpha=clear, vmin=0)
                x, y = ((points + 1) / 2 * size).T
                axis.scatter(camera * size + x, y, s=7, c="cyan", edgecolors="black", linewidths=0.3)
            axis.set_xlim(0, size * len(pictures))
            axis.set_ylim(size, 0)
    _save(plt, figure, path)


def _draw_shares(records: list[dict[str, Any]], path: Path) -> None:
    """A panel a task: of each policy, what of its actions comes from M and from P; a diamond: M's share of its fused patches."""
    plt, tasks = _pyplot(), list(dict.fromkeys(record["task"] for record in records))
    figure, axes = plt.subplots(1, len(tasks), figsize=(3.4 * len(tasks), 2.8), squeeze=False, layout="constrained", sharey=True)
    for axis, task in zip(axes[0], tasks, strict=True):
        mine = [record for record in records if record["task"] == task]
        places = np.arange(len(mine))
        axis.bar(places, [record["m"] for record in mine], color="C1", label="M: what changed")
        axis.bar(places, [record["p"] for record in mine], bottom=[record["m"] for record in mine], color="C0", label="P: what is where")
        told = [(place, record["fused_m"]) for place, record in enumerate(mine) if "fused_m" in record]
        if told:
            axis.scatter(*zip(*told, strict=True), marker="D", c="white", edgecolors="black", zorder=3, label="M in fused patches")
        axis.set_xticks(places, [record["policy"] for record in mine], rotation=30, ha="right", fontsize=7)
        axis.set_ylim(0, 1)
        axis.set_title(task, fontsize=9)
    axes[0, 0].set_ylabel("share of what moves the action", fontsize=8)
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=7)
    _save(plt, figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(plt: Any, figure: Any, path: Path) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)
