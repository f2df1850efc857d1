"""The measurement behind `python -m policy.probe`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch

from policy.fusion.pixelwise import PixelwiseFusion
from policy.pretrain.colour_words import DEFINITION
from policy.probing import action, contents, names, report, velocity, xy
from policy.probing.quick import FIT, HELD_OUT
from policy.probing.scenes import Scenes, index_of, read_scenes
from policy.probing.settings import Settings
from policy.probing.tokens import Features, digest, pixel_features, token_features, word_features
from policy.storage.checkpoint import load, load_fusion, load_streams
from policy.storage.stored import locate
from policy.storage.tensorfile import CONFIG
from policy.streams import TwoStreamEncoder
from policy.training.device import choose_device, use_processor
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import read_json, scratch, write_json
from whatwhere.schema import Count, Finite, Name, Share, checked

FORMAT = 1  # of the cached figures: one more whenever a probe changes
QUICK_WAYS, PAIRS_HELD_OUT = ("patches",), 1000


@dataclasses.dataclass(frozen=True)
class Source:
    """Something that is asked: streams (and the fusion trained with them), or, where there are none, colour words on a grid, or raw pixels."""

    name: str
    streams: TwoStreamEncoder | None = None
    fusion: PixelwiseFusion | None = None
    words: tuple[int, int] | None = None

    @property
    def digest(self) -> str:
        return digest(self.streams, self.fusion) if self.words is None else f"words {self.words} {DEFINITION}"

    def features(self, frames: Any, folder: Path, device: torch.device, change: str = "future") -> Features:
        if self.streams is not None:
            return token_features(self.streams.to(device), self.fusion, frames, folder, device=device, change=change)
        return pixel_features(frames, change) if self.words is None else word_features(frames, self.words, change=change)


def measure(settings: Settings) -> dict[str, Any]:
    """Prints the tables and writes them to `out`. Returns what `probe.json` holds. Raises BadInput."""
    use_processor(settings.num_threads)
    if settings.quick:
        settings = dataclasses.replace(settings, train=min(settings.train, FIT), held_out=min(settings.held_out, HELD_OUT), baselines=False)
    device, sources = choose_device(settings.device), open_sources(settings)
    out = Path(settings.out or f"outputs/probe/{Path(str(settings.checkpoint)).name}{'_quick' if settings.quick else ''}")
    check_writable("out", out)
    found: list[dict[str, Any]] = []
    drifts: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    texts, guesses = [], {}
    for task in settings.names:
        if index_of(Path(settings.scenes) / task).get("moving"):
            drifts += (rows := _velocities(settings, task, sources, device))
            texts.append(report.velocity_text(task, rows))
            print(texts[-1] + "\n", flush=True)
            continue
        if has_names := "phrases" in index_of(Path(settings.scenes) / task):
            named += (rows := _names(settings, task, sources, device))
            texts.append(report.names_text(task, rows))
            print(texts[-1] + "\n", flush=True)
            if not settings.contents:
                continue
        scenes = read_scenes(Path(settings.scenes) / task, settings.train, settings.held_out, settings.camera)
        place = _place(settings, task, sources, scenes)
        guesses[task] = xy.guess(scenes)
        for source in sources if not has_names else []:  # any of them may be the target
            rows = _cached(
                settings,
                f"{task} {source.name}",
                ["xy", source.digest, scenes.digest, settings.quick, settings.seed],
                Places,
                lambda folder, source=source, scenes=scenes: _xy(settings, source.features(scenes.frames, folder, device), scenes),
            )
            found += [place | {"source": source.name} | row for row in rows]
        if not has_names:
            texts.append(report.xy_text(task, found, float(guesses[task]["median_cm"] or 0)))
            print(texts[-1] + "\n", flush=True)
        if settings.contents:
            held += (rows := _contents(settings, task, sources, scenes, device))
            texts.append(report.contents_text(task, rows, contents.guess(scenes)))
            print(texts[-1] + "\n", flush=True)
    actions, guess = _actions(settings, sources, device)
    if guess:
        pairs = f"{actions[0]['held_out']} pairs of held-out takes, after {actions[0]['fit']}"
        texts.append(report.action_text(actions, guess, pairs))
        print(texts[-1])
    facts = {
        "settings": dataclasses.asdict(settings),
        "sources": {source.name: source.digest for source in sources},
        "mean_place": guesses,
        "mean_action": guess,
    }
    tables = {"xy": found, "action": actions} | {name: rows for name, rows in (("velocity", drifts), ("contents", held), ("names", named)) if rows}
    report.write(out, facts, "\n\n".join(texts), tables)
    print(out / "probe.json")
    return facts | tables


def _place(settings: Settings, task: str, sources: list[Source], scenes: Scenes | velocity.Drifts | names.Things) -> dict[str, Any]:
    """What the records of a task have in common. Raises BadInput for pictures of another size than the streams'."""
    if any(source.streams is not None and source.streams.size != scenes.size for source in sources):
        raise BadInput(f"scenes={settings.scenes}: pictures of {scenes.size} px, and the streams are made for another size; draw scenes with its size=")
    return {"task": task, "camera": settings.camera or "agentview", "fit": scenes.num_fit, "held_out": len(scenes) - scenes.num_fit}


def _of_sources(
    settings: Settings,
    place: Mapping[str, Any],
    sources: list[Source],
    what: str,
    of: list[Any],
    schema: Any,
    probe: Callable[[Source, Path], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """The records that `probe` makes of each source, with `place`. `of`: what else they depend on."""
    found = []
    for source in sources:
        rows = _cached(
            settings, f"{place['task']} {source.name} {what}", [what, source.digest, *of], schema, lambda folder, source=source: probe(source, folder)
        )
        found += [{**place, "source": source.name, **row} for row in rows]
    return found


def _velocities(settings: Settings, task: str, sources: list[Source], device: torch.device) -> list[dict[str, Any]]:
    """The records of a task's scenes that were drawn with moving=true. The pair is (t−k, t) and P is of t, as a policy sees them."""
    data = velocity.read_drifts(Path(settings.scenes) / task, settings.train, settings.held_out, settings.camera)
    place = _place(settings, task, sources, data)

    def probe(source: Source, folder: Path) -> list[dict[str, Any]]:
        return velocity.velocity_probe(source.features(data.frames, folder, device, "past"), data, settings.seed)

    return _of_sources(settings, place, sources, "velocity", [data.digest, settings.seed], Speeds, probe)


def _contents(settings: Settings, task: str, sources: list[Source], scenes: Scenes, device: torch.device) -> list[dict[str, Any]]:
    """The records of what lies there and on which side."""
    place, ways = _place(settings, task, sources, scenes), contents.WAYS[:2] if settings.quick else contents.WAYS

    def probe(source: Source, folder: Path) -> list[dict[str, Any]]:
        return contents.contents_probe(source.features(scenes.frames, folder, device), scenes, ways)

    return _of_sources(settings, place, sources, "contents", [scenes.digest, ways], Held, probe)


def _names(settings: Settings, task: str, sources: list[Source], device: torch.device) -> list[dict[str, Any]]:
    """The records of a task's scenes that were drawn with version=1, where each thing has a name."""
    data = names.read_things(Path(settings.scenes) / task, settings.train, settings.held_out, settings.camera)
    place = _place(settings, task, sources, data)

    def probe(source: Source, folder: Path) -> list[dict[str, Any]]:
        return names.names_probe(source.features(data.frames, folder, device), data, settings.seed)

    return _of_sources(settings, place, sources, "names", [data.digest, settings.seed], Told, probe)


def open_sources(settings: Settings) -> list[Source]:
    """The checkpoint's streams first, then the baselines. Raises BadInput."""
    if settings.checkpoint == "random":
        torch.manual_seed(settings.seed)
        sources, shape, fusion = [], TwoStreamEncoder(), None
    else:
        shape, fusion, sizes = open_streams(str(settings.checkpoint))
        sources = [Source("pre-trained", shape, fusion)]
        torch.manual_seed(settings.seed)
        shape = TwoStreamEncoder(**sizes)
        fusion = None if fusion is None else PixelwiseFusion(shape.dim, shape.grid, **fusion.choices)
    if settings.baselines or not sources:
        sources.append(Source("untrained", shape, fusion))
    return [*sources, Source("colour words", words=shape.grid), Source("pixels")] if settings.baselines else sources


def open_streams(checkpoint: str) -> tuple[TwoStreamEncoder, PixelwiseFusion | None, dict[str, Any]]:
    """Streams, the fusion trained with them if one was kept, and the streams' sizes: from their own folder, a run's, or a policy's. Raises BadInput."""
    folder = Path(checkpoint)
    if not (folder / CONFIG).is_file():
        inside = sorted(path.parent for path in folder.glob(f"streams/*/{CONFIG}"))
        if len(inside) > 1:
            raise BadInput(f"checkpoint={checkpoint}: several streams there; give one of {', '.join(map(str, inside))}")
        folder = inside[0] if inside else locate(checkpoint)
    if "policy" in checked(read_json(folder / CONFIG), dict[str, Any], str(folder / CONFIG)):
        policy = load(folder).policy
        if policy.streams is None:
            raise BadInput(f"checkpoint={checkpoint}: its encoder {policy.config.encoder} has no streams")
        fusion = getattr(policy.encoder, "fuse", None)
        config = policy.config
        return policy.streams, fusion if isinstance(fusion, PixelwiseFusion) else None, {"size": config.size, **dataclasses.asdict(config.streams)}
    streams, record = load_streams(folder)
    return streams, load_fusion(folder, streams.grid), {"size": record["size"], **record["streams"]}


def _xy(settings: Settings, features: Features, scenes: Any) -> list[dict[str, Any]]:
    if settings.quick:
        return xy.xy_probe(features, scenes, ways=QUICK_WAYS) + xy.xy_probe(features, scenes, ("fused",), ("keypoints",))
    return xy.xy_probe(features, scenes)


def _actions(settings: Settings, sources: list[Source], device: torch.device) -> tuple[list[dict[str, Any]], dict[str, float]]:
    if settings.play is None:
        return [], {}
    data = action.read_actions(settings.play, settings.holdout, settings.gap, settings.pairs, PAIRS_HELD_OUT, settings.seed)
    found: list[dict[str, Any]] = []
    for source in sources:
        rows = _cached(
            settings,
            f"actions {source.name}",
            ["action by clip", source.digest, data.digest],
            Moves,
            lambda folder, source=source: action.action_probe(source.features(data.frames, folder, device), data),
        )
        found += [{"source": source.name, "fit": data.num_fit, "held_out": len(data.actions) - data.num_fit} | row for row in rows]
    return found, action.guess(data)


class Asked(TypedDict):
    """What a cached record is of."""

    streams: Name
    read: Name


class Places(Asked):
    """A cached record of `xy.xy_probe`: what tables show of it."""

    median_cm: Finite
    ci95_low_cm: Finite
    ci95_high_cm: Finite
    median_moved_cm: Finite | None
    effective_rank: Finite | None


class Held(Asked):
    """A cached record of `contents.contents_probe`."""

    left_right: Finite | None
    near_far: Finite | None
    named: Finite | None
    all_named: Finite | None


class Speeds(Asked):
    """A cached record of `velocity.velocity_probe`: what tables show of it."""

    r2: Finite
    direction_deg: Finite
    within_20_deg: Finite
    speed_error: Finite
    named: Finite | None


class Told(Asked):
    """A cached record of `names.names_probe`: what tables show of it."""

    colour: Share
    shape: Share
    both: Share
    colour_commonest: Share
    shape_commonest: Share
    things: Count


class Moves(Asked):
    """A cached record of `action.action_probe`: what tables show of it."""

    r2: Finite
    mean_error: Finite
    r2_x: Finite
    r2_y: Finite
    r2_z: Finite
    r2_turn_x: Finite
    r2_turn_y: Finite
    r2_turn_z: Finite
    r2_gripper: Finite


def _cached(settings: Settings, what: str, key: list[Any], schema: Any, compute: Callable[[Path], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The records under `key`, each as `schema` wants it; computed with a folder for large arrays that is there for so long, if they are not known yet."""
    root = Path(settings.cache)
    path = root / f"{hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()[:16]}.json"
    if not path.exists():
        check_writable("cache", root)
        began = time.monotonic()
        with scratch(root) as folder:
            records = compute(folder)
        write_json(path, records)
        print(f"{what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return read_json(path, list[schema])
