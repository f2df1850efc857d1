"""Whether a checkpoint is for what was asked of it: no simulator, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eval.playing.player import TRAINING_START
from eval.playing.settings import Settings
from policy.ablation import check_without
from policy.late import check_pace
from policy.memory import check_memory
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from policy.storage.stored import Stored


def check_fit(settings: Settings, name: str, stored: Stored) -> None:
    """Raises BadInput where what was asked for and what the checkpoint was made for differ."""
    config = stored.policy
    made_for = list((stored.config.get("training") or {}).get("tasks") or [stored.config["task"]])
    if (settings.goal is None) is (config.change == "future"):
        raise BadInput(f"checkpoint={name}: {_wrong_goal(settings)}")
    if settings.goal is None and settings.task_name not in made_for:  # a change is a change in every task
        raise BadInput(f"checkpoint={name}: made for task={' or '.join(made_for)}, not task={settings.task_name}")
    if settings.encoder not in (None, config.encoder):
        raise BadInput(f"checkpoint={name}: its encoder is {config.encoder}, not encoder={settings.encoder}")
    if settings.execute is not None and settings.execute > config.chunk:
        raise BadInput(f"execute={settings.execute}: must be 1 to {config.chunk}, the chunk that {name} predicts")
    check_without(config.streams_used, settings.without, name)
    check_pace(config.history, config.latency, settings.execute or config.execute)
    check_memory(config.memory, config.frame_gap, settings.execute or config.execute)
    if settings.size not in (None, config.size):
        raise BadInput(f"size={settings.size}: {name} was trained on pictures of {config.size} × {config.size}; leave it out")


def _wrong_goal(settings: Settings) -> str:
    if settings.goal is None:
        return "an inverse model, which cannot act by itself; add goal=picture, or train a planner over it (docs/planner.md)"
    return f"a policy that knows what it wants, which goal={settings.goal} is not for; give an inverse model (docs/planner.md)"


def check_condition(settings: Settings, name: str, version: str | None, rendering: str) -> None:
    """Raises BadInput for another version or rendering than the checkpoint was trained on, unless that is allowed."""
    allow = settings.allow or ()
    if settings.version is not None and version not in (None, str(settings.version)) and "version" not in allow:
        raise BadInput(f"version={settings.version}: {name} was trained on version {version} of {settings.task_name}; leave it out, or add allow=[version]")
    if settings.rendering not in (None, rendering) and "rendering" not in allow:
        raise BadInput(f"rendering={settings.rendering}: {name} was trained on rendering={rendering}; leave it out, or add allow=[rendering] to mix them")


def check_starts(settings: Settings, name: str, training: Mapping[str, Any]) -> None:
    """Raises BadInput if the evaluation would hold a start of the demonstrations, by seed and episode. (By hash the workers look at every start.)"""
    episodes = range(settings.first, settings.first + settings.episodes)
    shared = sorted(episode for seed, episode in training.get("demo_starts", ()) if seed == settings.seed and episode in episodes)
    if shared:
        raise BadInput(
            f"seed={settings.seed}: {name} was trained on demonstrations of this seed, episode {shared[0]} of it is among them; choose another seed= "
            f"(reported figures: 200000 and up), or allow=[{TRAINING_START}]"
        )
