"""The measurement behind `python -m policy.inverse_dynamics`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from policy.change import ChangeEncoder
from policy.heads.change_to_actions import InverseDynamics, masked_l1
from policy.pretrain.clips import Clips
from policy.pretrain.footage import Play
from policy.shapes import Tokens
from policy.storage.mapped import mapped
from policy.training.action_pictures import draw_actions, draw_change
from policy.training.action_settings import Settings
from policy.training.device import autocast, choose_device, use_processor
from policy.training.schedule import schedule
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import sha256, write_json
from whatwhere.owned import claim, owned

GROUPS = {"translation": slice(0, 3), "rotation": slice(3, 6), "gripper": slice(6, 7)}


def measure(settings: Settings) -> dict[str, dict[str, float]]:
    """Trains the heads, prints the table and writes `out/results.json`, the head and pictures. Returns the table: {row: {group: error}}. Raises BadInput."""
    out, device = Path(settings.out), choose_device(settings.device)
    use_processor(settings.num_threads)
    assert settings.streams is not None
    check_writable("out", out)
    with owned(out):
        claim(out, {"kind": "action errors"})
        encoder = ChangeEncoder.from_pretrained(settings.streams, device)
        play = Play(settings.data)
        clips = Clips(play, encoder.size, holdout=settings.holdout)
        actions = mapped(Path(settings.data) / "labels" / "actions.npy", "make play with python -m envs.demos.play")
        if actions.ndim != 4 or actions.shape[:2] != play.frames.shape[:2] or settings.gap >= play.frames.shape[1]:
            found = f"actions {actions.shape} beside frames {play.frames.shape}"
            raise BadInput(f"data={settings.data}: {found}; needs (clips, frames, stride, a) and gap < frames")
        if not len(clips.held_out):
            raise BadInput(f"holdout={settings.holdout}: no take of {settings.data} is held out; give a larger share")
        rng = np.random.default_rng(settings.seed)
        training, held_out = (_pairs(which, play.frames.shape[1], settings.gap, rng) for which in (clips.training, clips.held_out))
        training, held_out = training[: settings.samples], held_out[: settings.samples]
        targets = [torch.from_numpy(_actions(actions, pairs, settings.gap)) for pairs in (training, held_out)]
        rows = {"always the median action": _errors(targets[0].nanmedian(0).values.expand_as(targets[1]), targets[1])}
        for name, gap in (("without change", 0), ("change", settings.gap)):  # the last one is kept
            tokens = [_tokens(encoder, clips, pairs, gap, settings, device) for pairs in (training, held_out)]
            head = _train(settings, encoder, tokens[0], targets[0], device)
            told = _predict(head, encoder, tokens[1], device)
            rows[name] = _errors(told, targets[1])
        draw_actions(out / "actions.png", told, targets[1])
        draw_change(
            out / "change.png", encoder, *(np.stack([clips.square(int(clip), int(t) + ahead) for clip, t in held_out[:8]]) for ahead in (0, settings.gap))
        )
        record = {"streams_sha256": sha256(Path(settings.streams) / "model.safetensors"), "gap": settings.gap, "change": "future"}
        head.save(out, record)
        facts = record | {"training_pairs": len(training), "held_out_pairs": len(held_out), "steps": settings.steps, "seed": settings.seed}
        write_json(out / "results.json", facts | {"mean_absolute_error": rows})
    for name, errors in rows.items():
        print(f"{name:<26}" + " · ".join(f"{group} {error:.3f}" for group, error in errors.items()))
    return rows


def _pairs(clips: np.ndarray, frames: int, gap: int, rng: np.random.Generator) -> np.ndarray:
    """Every (clip, frame t) with a frame t+gap, in random order, (m, 2)."""
    every = np.stack(np.meshgrid(clips, np.arange(frames - gap), indexing="ij"), axis=-1).reshape(-1, 2)
    return rng.permutation(every)


def _actions(actions: np.ndarray, pairs: np.ndarray, gap: int) -> np.ndarray:
    """Those between frame t and t+gap: (m, gap · stride, a)."""
    return np.stack([np.concatenate(actions[clip, t : t + gap]) for clip, t in pairs]).astype(np.float32)


def _tokens(encoder: ChangeEncoder, clips: Clips, pairs: np.ndarray, gap: int, settings: Settings, device: torch.device) -> Tensor:
    """(m, 1 + n, d) in fp16; gap 0: frame t twice."""
    done, begin = [], time.monotonic()
    for rows in np.array_split(pairs, max(1, len(pairs) // 64)):
        frames = [np.stack([clips.square(int(clip), int(t) + ahead) for clip, t in rows]) for ahead in (0, gap)]
        with autocast(device, settings.precision):
            change = encoder(*(torch.from_numpy(frame).to(device) for frame in frames))
        done.append(change.values.half().cpu())
        if time.monotonic() - begin > 2:
            begin = time.monotonic()
            print(f"\rencoded {sum(map(len, done))}/{len(pairs)} pairs ", end="", file=sys.stderr, flush=True)
    return torch.cat(done)


def _train(settings: Settings, encoder: ChangeEncoder, tokens: Tensor, targets: Tensor, device: torch.device) -> InverseDynamics:
    torch.manual_seed(settings.seed)
    head = InverseDynamics(encoder.dim, encoder.grid, targets.shape[1], targets.shape[2]).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.lr, weight_decay=0.05)
    positions = encoder.fusion.positions
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step, settings.steps)
        rows = torch.from_numpy(np.random.default_rng([settings.seed, step]).integers(0, len(tokens), settings.batch))
        with autocast(device, settings.precision):
            predicted = head(Tokens(tokens[rows].to(device).float(), positions))
        loss = masked_l1(predicted.float(), targets[rows].to(device))
        if not loss.isfinite():
            raise Failed(f"out={settings.out}: stopped in step {step + 1}: the loss is not finite; try a smaller lr, or precision=fp32")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"\rstep {step + 1}/{settings.steps} error {loss.item():.3f} ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return head.eval()


@torch.no_grad()
def _predict(head: InverseDynamics, encoder: ChangeEncoder, tokens: Tensor, device: torch.device) -> Tensor:
    positions = encoder.fusion.positions
    return torch.cat([head(Tokens(part.to(device).float(), positions)).float().cpu() for part in tokens.split(256)])


def _errors(predicted: Tensor, target: Tensor) -> dict[str, float]:
    groups = {name: part for name, part in GROUPS.items() if part.start < target.shape[2]}
    return {name: float(masked_l1(predicted[..., part], target[..., part])) for name, part in (*groups.items(), ("all", slice(None)))}
