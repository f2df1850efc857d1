"""Which rows belong together: what they depend on, and the folder that has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from eval.goals.goal_pictures import FILMED, digest_of
from eval.playing.player import Player
from eval.playing.settings import Settings
from whatwhere.files import path_name
from whatwhere.versions import stamp


def default_out(settings: Settings, player: Player) -> str:
    """outputs/eval/<made of the settings>: the same command comes back to the same folder, another one goes elsewhere."""
    from envs.catalogue import told_version

    parts = [path_name(player.task), player.encoder or path_name(player.expert or player.policy)]
    parts += [player.sha256[:8]] if player.sha256 is not None else []
    parts += [f"seed{player.seed}", f"n{settings.episodes}"]
    parts += [f"from{settings.first}"] if settings.first else []
    parts += [f"execute{settings.execute}"] if settings.execute is not None else []
    parts += [player.perturbation] if player.perturbation is not None else []
    parts += [told] if (told := told_version(player.version, player.split)) else []
    parts += [f"{key.replace('_', '')}{value}" for key in ("latency", "action_latency") if (value := getattr(settings, key)) is not None]
    parts += [f"said-{player.said}"] if player.said is not None else []
    parts += [f"goal-{path_name(player.goal)}"] if player.goal is not None else []
    parts += [f"without-{player.without}"] if player.without is not None else []
    parts += [path_name("_".join(map(str, (player.motion, *(f"{value:g}" for value in player.speed or ())))))] if player.motion is not None else []
    parts += [path_name(told.replace(" ", "-")) for told in (player.fault, player.fallback) if told is not None]
    parts += ["still"] if settings.motion == "still" else []
    parts += [player.rendering] if player.rendering != "fast" else []
    parts += [f"size{settings.size}"] if settings.size is not None else []
    parts += [path_name(player.exported or player.inference)] if settings.inference != "auto" else []
    parts += [player.queries] if player.queries != "own" else []
    parts += [re.sub(r"\W", "", settings.device)] if settings.device != "auto" else []
    return str(Path("outputs/eval") / "_".join(parts))


def identity(settings: Settings, player: Player) -> dict[str, Any]:
    """What rows depend on: a folder holds rows of one identity. (Not on num_envs, and a video can be added.)"""
    keys = ("task", "policy", "encoder", "sha256", "execute", "seed", "first", "rendering", "size")
    where = ("expert", "perturbation", "motion", "speed", "latency", "action_latency", "without", "said", "origin", "goal", "fault", "fallback")
    named = {name: getattr(player, name) for name in where if getattr(player, name) is not None}
    named |= {"version": player.version, "split": player.split} if player.version else {}
    named |= {"film": "by progress"} if player.goal == "video" else {}  # rows of earlier versions, of films that ran by the clock, are not added to
    if player.goal not in (None, *FILMED):
        named |= {"goal": digest_of(str(player.goal))}
    named |= {"inference": player.exported or player.inference} if settings.inference != "auto" else {}
    named |= {"queries": player.queries} if player.queries != "own" else {}
    return {key: getattr(player, key) for key in keys} | named | {"episodes": settings.episodes, "device": settings.device, **stamp()}
