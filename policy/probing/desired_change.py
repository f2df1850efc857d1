"""The measurement behind `python -m policy.desired`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from policy.model import Policy
from policy.pretrain.curves import write_picture
from policy.probing.desired_pictures import Drawer, desired_pictures
from policy.probing.desired_settings import Settings
from policy.storage.checkpoint import Checkpoint, load, verify
from policy.training.dataset import Demos, load_demos
from policy.training.device import choose_device, use_processor
from policy.training.inverse_files import inverse_under
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import write_json
from whatwhere.owned import claim, owned

BATCH = 64


def measure(settings: Settings) -> list[dict[str, Any]]:
    """Measures each checkpoint, prints a line for it and writes all to `out/desired.json`. Raises BadInput."""
    assert settings.checkpoint is not None and settings.demos is not None
    use_processor(settings.num_threads)
    device, records = choose_device(settings.device), []
    check_writable("out", settings.out)
    with owned(settings.out) as out:
        claim(out, {"kind": "desired changes"})
        for folder in settings.checkpoint:
            planner = load(folder, device)
            inverse = load(inverse_under(verify(folder), settings.inverse), device)
            drawer = None if settings.decoder is None else Drawer(settings.decoder, planner.policy.config.size, device)
            picture = out / ("pictures.png" if len(settings.checkpoint) == 1 else f"pictures_{len(records)}.png")
            records.append({"checkpoint": folder} | compared(planner, inverse, settings.demos, settings.held_out, drawer, picture))
            shown = " · ".join(f"{name} {value:.3f}" for name, value in records[-1]["cosine"].items())
            errors = " · ".join(f"{name} {value:.3f}" for name, value in records[-1]["action_error"].items())
            if (drawn := records[-1].get("moving_db")) is not None:
                print(f"{folder}: dB on moving pixels: {' · '.join(f'{name} {value:.2f}' for name, value in drawn.items())}", flush=True)
            print(f"{folder}: {records[-1]['ahead']} steps ahead: cosine with what happened: {shown}; error of the actions: {errors}", flush=True)
        write_json(out / "desired.json", {"demos": settings.demos, "desired": records})
    return records


def compared(planner: Checkpoint, inverse: Checkpoint, folder: str, held_out: int, drawer: Drawer | None = None, picture: Path | None = None) -> dict[str, Any]:
    """What is measured of one policy; with a `drawer` also in pixels, and a `picture` is written.

    The mean change is that of as many demonstrations that it learnt from. Raises BadInput.
    """
    config, training = planner.policy.config, planner.config["training"]
    learnt = load_demos(folder, training["num_demos"], config.chunk)
    unseen = load_demos(folder, held_out, config.chunk, after=learnt)
    if known := set(unseen.init_hashes) & set(training.get("start_hashes", ())):
        raise BadInput(f"demos={folder}: the start {min(known)} of a later demonstration is one that this policy learnt from; give the folder of its training")
    some = np.flatnonzero(learnt.episode < held_out)
    mean = codes(inverse, learnt, some, learnt.ahead(config.ahead))[0].mean(0, keepdim=True)
    rows = np.arange(len(unseen))
    true, own = codes(inverse, unseen, rows, unseen.ahead(config.ahead))
    told = {"planner": codes(planner, unseen, rows)[0], "no change": codes(inverse, unseen, rows, rows)[0], "mean change": mean.expand_as(true)}
    executed = torch.from_numpy(unseen.executed()[:, 0]).to(own.device)

    def error(of: Policy, code: Tensor) -> float:
        with torch.no_grad():
            actions = of.head.act(torch.cat([code, own], dim=-1))[:, 0]  # type: ignore[operator]
        return float((actions - executed).abs().mean())

    pixels = {}
    if drawer is not None and picture is not None:
        recorded = codes(inverse, learnt, np.arange(len(learnt)), learnt.ahead(config.ahead))
        write = partial(write_picture, picture)
        pixels = {"moving_db": desired_pictures(drawer, learnt, unseen, config.ahead, recorded, told["planner"], (true, own), write)}
    return pixels | {
        "ahead": config.ahead,
        "samples": len(unseen),
        "held_out": held_out,
        "cosine": {name: float(F.cosine_similarity(code, true).mean()) for name, code in told.items()},
        "cosine_beside_mean": {"planner": float(F.cosine_similarity(told["planner"] - mean, true - mean).mean())},
        "action_error": {name: error(inverse.policy, code) for name, code in (("true change", true), *told.items())},
    }


@torch.no_grad()
def codes(of: Checkpoint, demos: Demos, rows: Int[np.ndarray, " r"], later: Int[np.ndarray, " t"] | None = None) -> tuple[Float[Tensor, "r z"], Tensor]:
    """The codes of these samples, and proprio as the network sees it (r, s). `later`: the rows of the later frames; None: the pair of the past."""
    policy, device, found = of.policy, next(of.policy.parameters()).device, []
    proprio = torch.from_numpy(of.normalisation["proprio"].normalise(demos.own)).to(device)
    said = torch.stack([policy.language.code(instruction) for instruction in demos.instructions]).to(device)
    for part in np.array_split(rows, max(1, len(rows) // BATCH)):
        first, second = (demos.previous[part], part) if later is None else (part, later[part])
        frames = torch.from_numpy(np.stack([demos.frames[first], demos.frames[second]], axis=2)).to(device)
        features = policy.read(policy.look(frames), proprio[part], said[demos.told[part]]).features
        found.append(policy.head.code(features))  # type: ignore[operator]
    return torch.cat(found), proprio[rows]
