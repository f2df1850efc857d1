"""The loop of `python -m policy.align`. Every step is a function of (settings, step), so a killed run goes on."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from policy.aligning import measure
from policy.aligning.alignment import Alignment
from policy.aligning.captions import caption, same_caption, tell, vocabulary
from policy.aligning.contrast import symmetric
from policy.aligning.report import told
from policy.aligning.settings import Settings
from policy.channels import pair_channels
from policy.config import PolicyConfig, StreamsConfig
from policy.probing.named import Named, read_named
from policy.storage.aligned import save_alignment
from policy.storage.checkpoint import load_streams, save_streams
from policy.storage.stored import default_streams
from policy.streams import TwoStreamEncoder
from policy.training.device import choose_device, use_processor
from policy.training.resume import load_state, save_state
from policy.training.schedule import schedule
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput, Failed
from whatwhere.files import write_json
from whatwhere.owned import claim, owned

STATE = "state.safetensors"  # of an unfinished run
PLACES = ("out", "device", "num_threads", "save_every", "unseen", "among")  # settings that do not change what is learnt
PICTURES = 4  # times as many whole pictures a step: they are its negatives
READ = 32  # pictures a pass of the frozen stream


def align(settings: Settings) -> Path:
    """Trains, measures and saves. Returns the folder. A finished run is left as it is. Raises BadInput."""
    use_processor(settings.num_threads)
    device, out = choose_device(settings.device), Path(settings.out)
    scenes = read_named(settings.scenes, settings.train)
    unseen = None if settings.unseen is None else read_named(settings.unseen)
    streams, record = load_streams(settings.streams or default_streams())
    for folder, some in ((settings.scenes, scenes), (settings.unseen, unseen)):
        if some is not None and some.size != streams.size:
            raise BadInput(f"scenes={folder}: pictures of {some.size} px, the streams need {streams.size} px; draw scenes with size={streams.size}")
    if len(scenes) - scenes.num_fit < settings.among:
        raise BadInput(f"among={settings.among}: {settings.scenes} holds out {len(scenes) - scenes.num_fit} scenes; draw more, or give less")
    with owned(out):
        learnt = {key: value for key, value in dataclasses.asdict(settings).items() if key not in PLACES}
        claim(out, {"kind": "alignment"} | learnt | {"scenes": scenes.digest, "streams": record["sha256"]}, "training.json")
        if (out / "config.json").exists():
            print(f"{out}: already trained")
            return out
        check_writable("out", out)
        torch.manual_seed(settings.seed)
        words, names = vocabulary(scenes)
        model = Alignment(streams.dim, streams.grid, words, names).to(device)
        streams.to(device).requires_grad_(False)
        streams.encoder_p.requires_grad_(settings.unfreeze)
        patches = None if settings.unfreeze else read(streams, scenes)
        seconds = _train(settings, model, streams, scenes, patches, out)
        patches = read(streams, scenes) if patches is None else patches
        digest = record["sha256"]
        if settings.unfreeze:
            config = PolicyConfig(size=record["size"], frame_gap=record.get("frame_gap", PolicyConfig.frame_gap), streams=StreamsConfig(**record["streams"]))
            digest = save_streams(streams, out, config, {"objective": "alignment", "init": record["sha256"], "steps": settings.steps})
        rows = measured(settings, model, streams, scenes, patches, unseen)
        text = told(rows)
        print(text)
        write_json(out / "metrics.json", rows)
        training = {"scenes": scenes.num_fit, "steps": settings.steps, "seconds": round(seconds, 1), "seed": settings.seed}
        facts = {"streams_sha256": digest, "dim": streams.dim, "grid": list(streams.grid), "vocabulary": list(words), "names": list(names)}
        save_alignment(model, out, facts | {"training": training, "score": rows})
        (out / STATE).unlink(missing_ok=True)
    return out


@torch.no_grad()
def read(streams: TwoStreamEncoder, scenes: Named) -> Float[Tensor, "n c p d"]:
    """P's patches of each scene's first frame, in 16 bits."""
    n, cameras = scenes.frames.shape[:2]
    flat, device = scenes.frames.reshape(n * cameras, *scenes.frames.shape[2:]), next(streams.parameters()).device
    found = torch.empty(len(flat), streams.num_patches, streams.dim, dtype=torch.float16)
    for begin in range(0, len(flat), READ):
        p = pair_channels(torch.from_numpy(flat[begin : begin + READ]).to(device), "future").p
        found[begin : begin + READ] = streams.encoder_p.forward_features(p)[:, 1:].half()
    return found.unflatten(0, (n, cameras))


def _train(settings: Settings, model: Alignment, streams: TwoStreamEncoder, scenes: Named, patches: Tensor | None, out: Path) -> float:
    """Trains in place; returns the seconds of this start."""
    device = next(model.parameters()).device
    stream = [weight for weight in streams.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "rate": settings.lr}]
    groups += [{"params": stream, "rate": settings.stream_lr}] if stream else []
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay)
    begin, _ = load_state(out / STATE, {"model": nn.ModuleList([model, streams.encoder_p])}, optimizer)
    captions = [caption(scenes, row) for row in range(scenes.num_fit)]
    codes = torch.stack([model.pictures.language.code(text) for text in captions])
    clock, smooth = time.monotonic(), dict[str, float]()

    def seen(rows: np.ndarray, cameras: np.ndarray) -> Tensor:
        if patches is not None:
            return patches[rows, cameras].float().to(device)
        p = pair_channels(torch.from_numpy(scenes.frames[rows, cameras]).to(device), "future").p
        return streams.encoder_p.forward_features(p)[:, 1:]

    model.train()
    for step in range(begin, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * schedule(step, settings.steps)
        torch.manual_seed(settings.seed * 1_000_003 + step)
        rng = np.random.default_rng([settings.seed, step])
        losses: dict[str, Tensor] = {}
        if settings.places:
            rows, cameras = rng.integers(0, scenes.num_fit, settings.batch), rng.integers(0, scenes.frames.shape[1], settings.batch)
            losses = {name: settings.places * loss for name, loss in places_losses(model, scenes, seen(rows, cameras), rows, cameras, rng).items()}
        if settings.pictures:
            rows = rng.integers(0, scenes.num_fit, settings.batch * (1 if stream else PICTURES))
            same = torch.from_numpy(same_caption([captions[row] for row in rows])).to(device)
            found, texts = model.pictures.picture(seen(rows, np.zeros_like(rows))), model.pictures.caption(codes[rows].to(device))
            losses["pictures"] = settings.pictures * symmetric(found, texts, model.pictures.temperature(), same)
        loss = torch.stack(list(losses.values())).sum()
        if not loss.isfinite():
            raise Failed(f"out={out}: stopped in step {step + 1}: the loss is not finite; try a smaller lr")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
        optimizer.step()
        smooth = {name: 0.95 * smooth.get(name, value.item()) + 0.05 * value.item() for name, value in losses.items()}
        if (step + 1) % 20 == 0 or step + 1 == settings.steps:
            left = (time.monotonic() - clock) / (step + 1 - begin) * (settings.steps - step - 1)
            shown = " ".join(f"{name} {value:.3f}" for name, value in smooth.items())
            print(f"\rstep {step + 1}/{settings.steps} {shown} · {left / 60:.1f} min left ", end="", file=sys.stderr, flush=True)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_state(out / STATE, step + 1, {"model": nn.ModuleList([model, streams.encoder_p])}, optimizer)
    print(file=sys.stderr)
    model.eval()
    return time.monotonic() - clock


def places_losses(model: Alignment, scenes: Named, patches: Tensor, rows: np.ndarray, cameras: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
    """Of pictures (b), each with a sentence for each of its things."""
    device, said = patches.device, tell(scenes, rows, rng)
    codes = torch.stack([model.language.code(sentence) for sentence in said.sentences]).to(device)
    picture, task = torch.from_numpy(said.picture).to(device), torch.from_numpy(said.task).to(device)
    named = torch.from_numpy(np.stack([said.meant, said.other], axis=1)).to(device)
    kinds, places = torch.from_numpy(scenes.kinds[rows]).to(device), torch.from_numpy(scenes.places[rows, cameras]).float().to(device)
    return model.places_loss(patches, codes, picture, named, task, kinds, places, torch.from_numpy(scenes.seen[rows, cameras]).to(device))


def measured(settings: Settings, model: Alignment, streams: TwoStreamEncoder, scenes: Named, patches: Tensor, unseen: Named | None) -> list[dict[str, Any]]:
    """The rows of what is measured on held-out scenes, and on those with things that were never shown."""
    held_out = np.arange(scenes.num_fit, len(scenes))
    rows = []
    if settings.pictures:
        rows.append({"measured": "pictures", "split": "train"} | measure.retrieval(model, scenes, patches, held_out, settings.among))
    if settings.places:
        for split, words in (("train", False), ("unseen_words", True)):
            rows += [{"measured": "places", "split": split} | row for row in measure.places(model, scenes, patches, held_out, words)]
        if unseen is not None:
            found = read(streams, unseen)
            rows += [{"measured": "places", "split": "unseen_pairs"} | row for row in measure.places(model, unseen, found, np.arange(len(unseen)))]
    return rows
