"""The pre-training loop: one pure function of (settings, step) a step, saved every so often, streams and fusion exported at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn

from policy.channels import picture_tensor
from policy.config import PolicyConfig, StreamsConfig
from policy.pretrain import OBJECTIVES
from policy.pretrain.batches import Batches
from policy.pretrain.clips import Clips
from policy.pretrain.curves import Curves, mean, pictures
from policy.pretrain.engine import Engine
from policy.pretrain.footage import DEFAULT_SIZE, Play, digest, open_footage
from policy.pretrain.gradient_shares import gradient_share
from policy.pretrain.objective import Objective
from policy.pretrain.objective_settings import as_recorded
from policy.pretrain.samples import Samples
from policy.pretrain.settings import PLACES
from policy.pretrain.stage import SIZES, begin_from
from policy.pretrain.watch import Collapsed, Watch, stop_if
from policy.storage.checkpoint import save_streams
from policy.streams import TwoStreamEncoder
from policy.training.device import autocast, use_processor
from policy.training.resume import load_state, save_state
from policy.training.schedule import schedule
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import read_json, write_json
from whatwhere.named import named
from whatwhere.owned import claim, owned
from whatwhere.schema import Index

if TYPE_CHECKING:
    from policy.pretrain.settings import Settings

REPORT_EVERY = 20  # steps
STATE = "state.safetensors"
CLOCK = "seconds.json"  # how long it took until then; not in the state, which is the same for every run


def pretrain(settings: Settings) -> Path | None:
    """Trains and writes `out/streams` (what spec A20 keeps), `out/pictures.png`, `out/figures.jsonl` and TensorBoard curves.

    Returns the folder of the streams (in the first process). Raises BadInput for settings, data or an `init=` that do not fit each other.
    """
    engine, out = Engine(settings.device), Path(settings.out)
    use_processor(settings.num_threads)
    if engine.is_main:
        check_writable("out", out)
    with owned(out) if engine.is_main else contextlib.nullcontext():
        with engine.main_first():
            footage = open_footage(settings)
        size = settings.size or (None if isinstance(footage, Play) else DEFAULT_SIZE)
        clips = Clips(footage, size, (settings.crop[0], settings.crop[1]), settings.holdout)
        settings = _resolved(settings, clips, engine.world)
        config = PolicyConfig(size=clips.size, streams=StreamsConfig(**_sizes(settings)))  # type: ignore[arg-type]  # refuses what could not be kept
        torch.manual_seed(settings.seed)
        objective = build(settings, clips.size)
        begun = None if settings.init is None else begin_from(settings.init, objective.streams, objective.fusion, _sizes(settings), settings.frozen)
        if settings.frozen:
            objective.freeze()
        told = {key: value for key, value in dataclasses.asdict(settings).items() if key != "frozen" or value}  # as earlier runs have it
        told["objective"] = as_recorded(told["objective"])
        claimed = {key: value for key, value in told.items() if key not in PLACES}
        record = claimed | {"init": begun, "footage": digest(footage)}
        if engine.is_main:
            claim(out, {"kind": "streams"} | record)
        figures = _train(settings, engine, clips, objective.to(engine.device))
        engine.close()
        if not engine.is_main:
            return None
        training = {"settings": told, "init_sha256": begun, "footage": record["footage"], "figures": figures}
        training |= {"seconds": _seconds(out)} if (out / CLOCK).exists() else {}
        streams, fusion = objective.kept
        name = save_streams(streams, out, config, training, fusion)
        beside = objective.keep_beside(out, name)
        if beside is not None:
            print(beside)
        print(out / "streams" / name[:16])
        return out / "streams" / name[:16]


def build(settings: Settings, size: int) -> Objective:
    """The objective by name, over new streams."""
    streams = TwoStreamEncoder(size=size, **_sizes(settings))  # type: ignore[arg-type]
    options = dataclasses.asdict(settings.objective)
    return named("objective", options.pop("name"), OBJECTIVES)(streams, **options)


def _sizes(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in SIZES}


def _resolved(settings: Settings, clips: Clips, world: int) -> Settings:
    """With the number of steps that the epochs make, and of the pieces of a batch."""
    steps = settings.steps if settings.epochs is None else math.ceil(settings.epochs * len(clips.training) / settings.batch)
    pieces = settings.micro_batches or world
    if pieces % world or settings.batch % pieces:
        raise BadInput(f"micro_batches={pieces}: must divide batch={settings.batch} and be a multiple of the {world} processes")
    return dataclasses.replace(settings, steps=steps, epochs=None, micro_batches=pieces, size=clips.size)


def _train(settings: Settings, engine: Engine, clips: Clips, objective: Objective) -> dict[str, float]:
    """The steps that are left. Returns the running means of the figures, with the last ones of held-out clips and probes. Raises Collapsed."""
    out = Path(settings.out)
    optimizer = torch.optim.AdamW(objective.groups(), lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.95))
    begin, note = load_state(out / STATE, {"model": objective}, optimizer)
    samples, few = Samples(clips, settings, objective.crops, objective.frames), settings.batch // (settings.micro_batches or 1)
    held_out = (lambda number: samples.held_out(number, few, engine.device)) if len(clips.held_out) else None
    watch = Watch(settings, held_out, engine.device, note.get("looked", {}))
    model = engine.wrap(objective)
    curves = Curves(out, begin, settings.steps, settings.batch) if engine.is_main else None
    rows = settings.batch // engine.world
    mine = slice(engine.rank * rows, (engine.rank + 1) * rows)
    batches = Batches(samples.read, lambda step: samples.plan(step).rows(mine), range(begin, settings.steps), settings.loaders)
    before, clock = (_seconds(out) if begin and (out / CLOCK).exists() else 0), time.monotonic()
    for step, frames in enumerate(batches, begin):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step, settings.steps, settings.warmup)
        objective.begin(step, settings.steps, optimizer)
        given = [picture_tensor(part, engine.device) for part in frames]
        figures, picture = train_step(settings, engine, model, optimizer, step, *given)
        objective.end(engine)
        done, last = step + 1, step + 1 == settings.steps
        if curves is None:
            continue
        curves.follow(figures)
        if done % REPORT_EVERY == 0 or last:
            figures["gradient_p"] = gradient_share(objective.streams)
            curves.follow({"gradient_p": figures["gradient_p"]})
            curves.report(done, figures, batches.waited)
            stop_if(objective.wrong(), settings.out, done)
        watch.look(objective, done, curves)
        if done % settings.save_every == 0 or last:
            save_state(out / STATE, done, {"model": objective}, optimizer, {"looked": watch.figures})
            write_json(out / CLOCK, {"seconds": round(before + time.monotonic() - clock)})
            if picture is not None:
                pictures(out / "pictures.png", *objective.pair(*given), picture)
    if curves is None:
        return {}
    curves.close()
    return curves.smooth | watch.figures


class Clock(TypedDict):
    seconds: Index


def _seconds(out: Path) -> int:
    return read_json(out / CLOCK, Clock)["seconds"]


def train_step(
    settings: Settings, engine: Engine, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, *given: Tensor
) -> tuple[dict[str, float], Tensor | None]:
    """One change of the weights by this process's pieces of a batch and those of the others. Returns mean figures and the first piece's picture."""
    assert settings.micro_batches is not None
    pieces = settings.micro_batches // engine.world
    optimizer.zero_grad(set_to_none=True)
    every, picture = [], None
    for piece, part in enumerate(zip(*(part.chunk(pieces) for part in given), strict=True)):
        number = step * settings.micro_batches + engine.rank * pieces + piece  # so that chance does not depend on who computes the piece
        torch.manual_seed(settings.seed * 1_000_003 + number)
        with engine.alone(model, last=piece == pieces - 1):
            with autocast(engine.device, settings.precision):
                loss, figures, seen = model(*part, torch.Generator(engine.device).manual_seed(number))
            if not loss.isfinite():
                raise Collapsed(f"out={settings.out}: stopped in step {step + 1}: the loss is not finite; try a smaller lr or precision=fp32")
            (loss / pieces).backward()
        every.append(figures)
        picture = seen if piece == 0 else picture
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return mean(engine.everyones(mean(every))), picture
