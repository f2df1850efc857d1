"""The fine-tuning loop: demonstrations → policy. Every step is a pure function of (settings, step), so a killed run goes on bit-exactly."""

from __future__ import annotations

import copy
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from policy.choices import USUAL
from policy.config import AHEAD, PolicyConfig, StreamsConfig
from policy.heads import WITH_BINARY, WITH_PLANNER
from policy.language import PACKAGE, UNNAMED_LANGUAGE, WITH_VOCABULARY
from policy.language.vocabulary import vocabulary_of
from policy.model import Policy, build, build_streams
from policy.storage.checkpoint import Checkpoint, load, load_streams, save_pretrained, verify
from policy.storage.stored import default_streams
from policy.storage.weights import check_storable
from policy.streams import TwoStreamEncoder
from policy.training import aligned
from policy.training.binary import binary_numbers
from policy.training.cache import token_cache
from policy.training.contrast import Contrast
from policy.training.dataset import Demos
from policy.training.device import autocast, choose_device, use_processor
from policy.training.planning import Planning, before, of_inverse, onto
from policy.training.resume import load_state, save_state
from policy.training.sampling import Samples
from policy.training.schedule import schedule
from policy.training.settings import FAR, Settings
from policy.transforms import Affine
from whatwhere.disk import check_writable
from whatwhere.errors import Failed
from whatwhere.owned import claim, owned

STEPS = {"cached": 1500, "pictures": 2000}  # fixed for each way of training; with 3,000 over cached tokens none was better (docs/lab.md)
STATE = "state.safetensors"  # of an unfinished run
# settings that do not change what is learnt
PLACES = ("out", "demos", "cache", "device", "num_threads", "save_every", "execute", "held_out", "version", "inverse")
# settings that earlier versions had no choice of: their runs go on
UNSAID = {**USUAL, "sentence_encoder": None, "latency": 0, "action_latency": 0, "history": (), "streams_used": "both", "align": None, "contrast": 0.0}
UNSAID |= {"change": "past", "actions": "all", "ahead": None, "far": FAR, "camera_dropout": 0.0, "memory": 0}
WORD_DIM = 64  # numbers of a word for languages that read sentences


def finetune(settings: Settings, demos: Demos, held_out: Demos | None = None) -> Path:
    """Trains and saves a checkpoint in `settings.folder`, and returns that folder. A finished run is left as it is.

    `held_out` is for measuring the error of the actions alone.
    """
    use_processor(settings.num_threads)
    out, device = settings.folder, choose_device(settings.device)
    streams, streams_name, stream_config = _streams(settings, demos)
    cached = streams is not None and not settings.unfreeze
    steps = settings.steps or STEPS["cached" if cached else "pictures"]
    with owned(out):
        learnt = {key: value for key, value in dataclasses.asdict(settings).items() if key not in PLACES and (key, value) not in UNSAID.items()}
        learnt |= {"task": settings.task_name}  # one alone is a text, as in files of earlier versions
        learnt |= {} if settings.inverse is None else {"inverse": verify(settings.inverse).sha256}
        learnt |= {} if len(demos.instructions) == 1 else {"instructions": demos.said}
        claim(out, {"kind": "policy"} | learnt | {"steps": steps, "streams": streams_name, "demos": demos.digest}, "training.json")
        if (out / "config.json").exists():
            print(f"{out}: already trained")
            return out
        check_writable("out", out)
        inverse = _inverse(settings, demos, held_out, device)
        torch.manual_seed(settings.seed)
        policy = build(_config(settings, demos, stream_config, inverse), streams).to(device)
        if settings.change == "future":  # what made a change is what was carried out
            demos = dataclasses.replace(demos, chunks=demos.executed())
            held_out = None if held_out is None else dataclasses.replace(held_out, chunks=held_out.executed())
        told = {} if settings.align is None else {"aligned": aligned.put_in(policy, settings.align)}
        dim = demos.chunks.shape[-1]
        proprio = Affine.of(demos.own) if inverse is None else inverse.normalisation["proprio"]
        actions = Affine.of(demos.chunks[:, 0]) if policy.head.standardised else Affine.identity(dim)

        def samples(of: Demos, shifts: int, by: Policy = policy) -> Samples:
            """What `by` sees of demonstrations: what has changed, or what will."""
            cache = None
            if cached:
                assert policy.streams is not None
                later = of.later(by.config.ahead, shifts, settings.far) if by.config.change == "future" else None
                where = settings.cache, policy.streams, streams_name, of, shifts, settings.shift_px
                cache = token_cache(*where, seed=0, device=str(device), precision=settings.precision, later=later).beside(device)
            return Samples(settings, of, proprio, actions, by, cache, device)

        unseen = samples(held_out, 1) if held_out is not None else None
        learning = samples(demos, settings.shifts)
        if inverse is not None:
            onto(policy, inverse.policy, frozen=settings.actions == "none")
            seen = samples(demos, settings.shifts if settings.inverse is None else 1, inverse.policy)  # tokens that the inverse model had, where it learnt here
            learning.plan(Planning.of(seen.changes(inverse.policy), demos, settings.actions))
        elif settings.join == "similarity" and settings.align is not None:
            learning.point(policy)
        seconds = _train(settings, policy, learning, unseen, steps, device, out)
        told |= {} if unseen is None else _told(unseen, policy, demos)
        save_pretrained(
            policy,
            out,
            task=settings.task_name,
            normalisation={"proprio": proprio, "actions": actions},
            training=_record(settings, demos, streams_name, steps, seconds) | of_inverse(settings, demos, inverse) | told,
        )
        (out / STATE).unlink(missing_ok=True)  # nothing is left to resume
        return out


def _train(settings: Settings, policy: Policy, samples: Samples, unseen: Samples | None, steps: int, device: torch.device, out: Path) -> float:
    """Trains in place and leaves the moving average of the weights in `policy`; returns the seconds this took (of the last start)."""
    average = copy.deepcopy(policy).requires_grad_(False)
    contrast = Contrast(policy.encoder.dim, len(policy.config.cameras), policy.config.task_dim).to(device) if settings.contrast else None
    learning = nn.ModuleDict({"policy": policy, "average": average} | ({} if contrast is None else {"contrast": contrast}))
    heads = [p for name, p in policy.named_parameters() if p.requires_grad and not name.startswith("streams.")]
    heads += [] if contrast is None else list(contrast.parameters())
    stream = [p for name, p in policy.named_parameters() if p.requires_grad and name.startswith("streams.")]
    groups = [{"params": heads, "rate": settings.lr}, {"params": stream, "rate": settings.stream_lr}]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    begin, _ = load_state(out / STATE, {"learning": learning}, optimizer)
    curves = SummaryWriter(str(out / "tensorboard"), purge_step=begin)
    clock, smooth, held_out = time.monotonic(), 0.0, ""
    policy.train()
    for step in range(begin, steps):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * schedule(step, steps)
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropouts, and what a head draws to learn from
        with autocast(device, settings.precision):
            loss = samples.loss(policy, step, contrast)
        if not loss.isfinite():
            raise Failed(f"out={out}: stopped in step {step + 1}: the loss is not finite; try a smaller lr, or precision=fp32")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*heads, *stream], 1.0)
        optimizer.step()
        decay = min(settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), policy.parameters(), strict=True):
                if fast.requires_grad:
                    slow.lerp_(fast, 1 - decay)
        smooth = loss.item() if step == begin else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 20 == 0 or step + 1 == steps:
            rate = (step + 1 - begin) / (time.monotonic() - clock)
            curves.add_scalar("loss", loss.item(), step + 1)
            curves.add_scalar("lr", optimizer.param_groups[0]["lr"], step + 1)
            left = (steps - step - 1) / rate
            line = f"step {step + 1}/{steps} loss {smooth:.4f}{held_out} · {rate:.1f} steps/s · {left / 60:.1f} min left "
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        if (step + 1) % settings.save_every == 0 or step + 1 == steps:
            check_storable(dict(average.named_parameters()))
            save_state(out / STATE, step + 1, {"learning": learning}, optimizer)
            if unseen is not None:
                error = float(unseen.error(average).mean())
                curves.add_scalar("held_out_error", error, step + 1)
                held_out = f" · held out {error:.4f}"
    print(file=sys.stderr)
    curves.close()
    policy.load_state_dict(average.state_dict())
    policy.eval()
    return time.monotonic() - clock


def _told(unseen: Samples, policy: Policy, demos: Demos) -> dict[str, Any]:
    """How far the actions are from those of held-out demonstrations, number by number, and how far the median action of `demos` is; printed, too.

    A number that is predicted no better than by its median has not been learnt.
    """
    truth, told = unseen.demos.chunks[:, 0], unseen.told(policy)  # (t, a)
    median = np.median(demos.chunks[:, 0], axis=0)
    errors, of_median = np.abs(told - truth).mean(0), np.abs(truth - median).mean(0)
    for name, values in (("the policy", errors), ("always predicting the median", of_median)):
        print(f"held out, error of each number of the action, {name}: " + " ".join(f"{value:.3f}" for value in values))
    lists = {"held_out_error_by_number": errors, "held_out_error_by_number_of_median": of_median}
    facts = {name: [round(float(value), 4) for value in values] for name, values in lists.items()}
    wrong = {str(n): float(np.mean((told[:, n] > middle) != (truth[:, n] > middle))) for n, middle in _middles(demos).items()}
    if wrong:
        print("held out, share of wrong choices of each number that had two values: " + " ".join(f"{n}: {share:.3f}" for n, share in wrong.items()))
        facts |= {"held_out_wrong_by_number": {number: round(share, 4) for number, share in wrong.items()}}
    return {"held_out": len(unseen.demos.init_hashes), "held_out_error": round(float(errors.mean()), 4)} | facts


def _middles(demos: Demos) -> dict[int, float]:
    """Between the two values of each number of an action that had two."""
    return {number: (low + high) / 2 for number, low, high in binary_numbers(demos.chunks[:, 0])}


def _streams(settings: Settings, demos: Demos) -> tuple[TwoStreamEncoder | None, str, StreamsConfig]:
    """The streams under the policy, their name (sha256, or how they were drawn) and their sizes; none for encoders from scratch."""
    probe = PolicyConfig(encoder=settings.encoder)
    if not probe.uses_streams:
        return None, "none", StreamsConfig()
    if settings.streams == "random":
        torch.manual_seed(settings.seed)
        config = PolicyConfig(size=int(demos.attrs["size"]))
        return build_streams(config), f"random-{settings.seed}", config.streams
    streams, record = load_streams(settings.streams or default_streams() if settings.align is None else aligned.streams_of(settings.align, settings.streams))
    return streams, record["sha256"], StreamsConfig(**record["streams"])


def _inverse(settings: Settings, demos: Demos, held_out: Demos | None, device: torch.device) -> Checkpoint | None:
    """The inverse model under a planner, learnt first from the same demonstrations where none is given; None for policies without a planner."""
    if settings.head not in WITH_PLANNER or settings.change == "future":
        return None
    return load(settings.inverse or finetune(before(settings), demos, held_out), device)


def _config(settings: Settings, demos: Demos, streams: StreamsConfig, inverse: Checkpoint | None) -> PolicyConfig:
    binary = binary_numbers(demos.chunks[:, 0]) if settings.head in WITH_BINARY else ()
    ahead = settings.ahead or AHEAD
    if inverse is not None:
        binary, ahead = inverse.policy.config.binary, inverse.policy.config.ahead
    return PolicyConfig(
        encoder=settings.encoder,
        head=settings.head,
        binary=binary,
        change=settings.change,
        ahead=ahead,
        fusion=settings.fusion,
        cls_fusion=settings.cls_fusion,
        sharing=settings.sharing,
        cameras=tuple(demos.attrs["cameras"]),
        size=int(demos.attrs["size"]),
        frame_gap=int(demos.attrs["frame_gap"]),
        chunk=settings.chunk,
        execute=settings.execute,
        action_dim=demos.chunks.shape[-1],
        proprio_dim=demos.proprio.shape[-1],
        latency=settings.latency,
        action_latency=settings.action_latency,
        history=settings.history,
        m_dropout=settings.m_dropout if settings.streams_used == "both" else 0.0,
        streams_used=settings.streams_used,
        camera_dropout=settings.camera_dropout,
        memory=settings.memory,
        proprio_dropout=settings.proprio_dropout,
        frozen_streams=not settings.unfreeze,
        streams=streams,
        language=settings.language,
        join=settings.join,
        **_language(settings, demos),
    )


def _language(settings: Settings, demos: Demos) -> dict[str, Any]:
    """What the policy's configuration says of its language beside the name."""
    if settings.language == UNNAMED_LANGUAGE:
        return {}
    if settings.language in WITH_VOCABULARY:
        return {"task_dim": WORD_DIM, "vocabulary": vocabulary_of(demos.instructions)} if settings.align is None else aligned.sizes(settings.align)
    from policy.language.pretrained import pretrained

    encoder = PACKAGE if settings.sentence_encoder is None else str(Path(settings.sentence_encoder).absolute())
    of = pretrained(encoder)
    return {"task_dim": WORD_DIM, "sentence_encoder": encoder, "sentence_sha256": of.sha256, "sentence_dim": of.dim}


def _record(settings: Settings, demos: Demos, streams: str, steps: int, seconds: float) -> dict[str, Any]:
    return {
        **_versions(settings, demos),
        "rendering": demos.attrs["rendering"],
        "control_hz": demos.attrs["control_hz"],
        **({"instruction": demos.instructions[0]} if len(demos.instructions) == 1 else {"instructions": list(demos.instructions)}),
        "num_demos": settings.num_demos,
        "samples": len(demos),
        "train_seed": settings.seed,
        "steps": steps,
        "batch": settings.batch,
        "lr": settings.lr,
        "streams": streams,
        "unfreeze": settings.unfreeze,
        "shift_px": settings.shift_px,
        "seconds": round(seconds, 1),
        **({"contrast": settings.contrast} if settings.contrast else {}),
        "demos_digest": demos.digest,
        **({"mirrored": True} if demos.mirrored else {}),
        **{name: demos.attrs[name] for name in ("split",) if name in demos.attrs},
        **_starts(demos),
        **{name: demos.attrs[name] for name in ("motion", "speed") if demos.attrs.get(name) is not None},  # what moved by itself
    } | _environment(demos)


def _versions(settings: Settings, demos: Demos) -> dict[str, Any]:
    """Of the task; of several tasks each one's, and the one that all have, if there is one."""
    if len(settings.task) == 1:
        return {"task_version": demos.attrs["task_version"]}
    versions = demos.attrs["tasks"]
    return {"tasks": versions, "task_version": demos.attrs["task_version"] if len(set(versions.values())) == 1 else None}


def _starts(demos: Demos) -> dict[str, Any]:
    """Where the demonstrations began, and those that they were made of, if `envs.demos.multiply` made them: the policy is not evaluated there."""
    starts, hashes = list(map(list, demos.starts)), [digest for digest in demos.init_hashes if digest != "None"]
    for original in demos.originals:
        if original["init_hash"] is not None and original["init_hash"] not in hashes:
            hashes.append(original["init_hash"])
            starts += [[original["seed"], original["episode"]]] if None not in (original["seed"], original["episode"]) else []
    told = {"demo_starts": starts, "start_hashes": hashes}
    told |= {"corrections": demos.corrections} if demos.corrections else {}
    return told | {"multiplied_from": len(demos.originals)} if demos.originals else told


def _environment(demos: Demos) -> dict[str, Any]:
    """Of demonstrations that another program recorded: what evaluation has to know of theirs."""
    if reason := demos.attrs.get("no_environment"):
        return {"no_environment": reason}
    return {"origin": demos.attrs["origin"] | {"instruction": demos.instructions[demos.told[-1]]}} if "origin" in demos.attrs else {}
