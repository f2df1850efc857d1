"""Everything that can be wrong with an evaluation is found here, from files alone: no simulator, no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eval.goals.drawable import drawable
from eval.playing.faults import OF_CAMERAS
from eval.playing.faults import told as told_fault
from eval.playing.fit import check_condition, check_fit, check_starts
from eval.playing.identity import default_out
from eval.playing.player import TRAINING_START, Player
from eval.playing.settings import Settings
from policy.fallback import check_fallback
from policy.fusion import told as told_fusion
from policy.training.inverse_files import INVERSE, taught_by
from whatwhere.errors import BadInput, about, choose
from whatwhere.versions import check_simulator

if TYPE_CHECKING:
    from policy.storage.stored import Stored

FUSES = "pixelwise"  # the encoder that asks for a fusion
UNKNOWN = "unknown"  # the version of demonstrations that were matched to no task (envs.demos.formats.foreign)


def prepare(settings: Settings) -> Player:
    """The evaluation that `settings` ask for. Raises BadInput for wrong versions, a checkpoint that is damaged or made for something else, a training start."""
    check_simulator()
    common: dict[str, Any] = {"task": settings.task_name, "policy": settings.policy, "seed": settings.seed, "video": settings.video, "first": settings.first}
    common |= {"trajectories": settings.trajectories, "expert": settings.expert, "perturbation": settings.perturbation, "influence": settings.influence}
    common |= {"action_latency": settings.action_latency or None}
    if settings.policy == "learned":
        player = _learned(settings, common)
    else:
        told = _version(settings, {}) | _motion(settings, None, {})
        player = Player(**common, **told, rendering=settings.rendering or "fast", size=settings.size or 96)
    if player.said == "other" and not player.version:
        raise BadInput(f"said=other: in version 0 of {player.task} there is nothing else to be named; it is for policies of version 1")
    return replace(player, out=settings.out or default_out(settings, player))


def _learned(settings: Settings, common: dict[str, Any]) -> Player:
    from policy.choices import USUAL
    from policy.storage.stored import find, verify

    name = settings.checkpoint or find(settings.task_name, settings.encoder, settings.version)
    stored = verify(name)
    if settings.goal is not None and stored.policy.change == "past" and (own := stored.folder / INVERSE).is_dir():
        name, stored = f"{name}/{INVERSE}", verify(own)  # that under its planner, which the goal stands in for
    config = stored.policy
    training: dict[str, Any] = dict(stored.config.get("training") or {})
    allow = settings.allow or ()
    check_fit(settings, name, stored)
    training |= {"task_version": tasks[settings.task_name]} if (tasks := training.get("tasks")) else {}
    version, rendering = training.get("task_version"), training.get("rendering", "fast")
    check_condition(settings, name, version, rendering)
    origin = _origin(name, training)
    hashes: frozenset[str] = frozenset()
    if TRAINING_START not in allow:
        hashes = frozenset(training.get("start_hashes", ()))
        check_starts(settings, name, training)
    common |= _late(settings, name, config) | _failing(settings, name, config)
    return Player(
        **common,
        device=settings.device,
        inference="plain" if settings.queries == "batched" else settings.inference,
        queries=settings.queries,
        exported=_exported(settings, stored),
        folder=str(stored.folder.absolute()),
        checkpoint=name,
        sha256=stored.sha256,
        encoder=config.encoder,
        streams_used=None if config.streams_used == "both" else config.streams_used,
        without=settings.without,
        said=settings.said,
        **{name: getattr(config, name) for name, usual in USUAL.items() if getattr(config, name) != usual},
        execute=settings.execute or config.execute,
        train_seed=training.get("train_seed"),
        num_demos=training.get("num_demos"),
        multiplied_from=training.get("multiplied_from"),
        corrections=training.get("corrections"),
        memory=config.memory or None,
        fusion=told_fusion(config.fusion, config.cls_fusion, config.sharing) if config.encoder == FUSES else None,
        streams=_streams(training),
        actions_from=_actions_from(stored.config["task"], training),
        goal=settings.goal,
        **drawable(name, stored, settings.goal, settings.decoder, settings.demos, settings.inverse),
        task_version=None if "version" in allow else version,
        trained_on=hashes,
        rendering=settings.rendering or rendering,
        size=config.size,
        frame_gap=config.frame_gap,
        cameras=config.cameras,
        origin=origin,
        **_version(settings, training | {"task": settings.task_name}),
        **_motion(settings, name, training),
    )


def _actions_from(task: str, training: Mapping[str, Any]) -> str | None:
    """Whose actions a policy with a planner, or an inverse model, learnt from."""
    return taught_by(task, training) if training.get("demonstrations") else training.get("actions_from")


def _version(settings: Settings, trained: Mapping[str, Any]) -> dict[str, Any]:
    """The version of the task that is asked for, or the policy's, and the split."""
    from envs.catalogue import check_version, recorded_version
    from envs.language.things import SPLITS

    version: int = recorded_version(trained).get("version", 0) if settings.version is None else settings.version
    check_version(settings.task_name, version, settings.split)
    return {"version": version, "split": (settings.split or SPLITS[0]) if version else None}


def _late(settings: Settings, name: str, config: Any) -> dict[str, Any]:
    """How late pictures and actions are: as in the policy's training, unless something else is asked for, which is noted and stands in each row."""
    trained = {key: getattr(config, key) for key in ("latency", "action_latency")}
    played = trained | {key: value for key in trained if (value := getattr(settings, key)) is not None}
    said = ", ".join(f"{key}={value}" for key, value in trained.items())
    if played != trained:
        print(f"note: {name} was trained for {said}; here it meets {', '.join(f'{key}={value}' for key, value in played.items())}", flush=True)
    told = {"trained_for": None if played == trained else said, "history": " ".join(config.history) or None}
    return {key: value or None for key, value in played.items()} | told


def _failing(settings: Settings, name: str, config: Any) -> dict[str, Any]:
    """What is made to fail, and what the policy does about it. Raises BadInput for a camera that it has not, and for what it did not learn."""
    check_fallback(settings.fallback, config.camera_dropout, name)
    if settings.fault_camera is not None:
        choose("fault_camera", settings.fault_camera, config.cameras)
    camera = (settings.fault_camera or config.cameras[0]) if settings.fault in OF_CAMERAS else None
    return {
        "fallback": None if settings.fallback == "none" else settings.fallback,
        "fault": None if settings.fault is None else told_fault(settings.fault, settings.fault_from, camera),
    }


def _motion(settings: Settings, name: str | None, training: Mapping[str, Any]) -> dict[str, Any]:
    """What moves by itself: what moved in the policy's training, unless something else is asked for, which is noted and stands in each row."""
    from envs.motion import motion_of, played, told

    with about(f"checkpoint={name}: training") if name else contextlib.nullcontext():
        trained = motion_of(settings.task_name, training.get("motion"), training.get("speed"))
    motion = played(settings.task_name, settings.motion, settings.speed, trained, settings.version or 0)
    facts: dict[str, Any] = {} if motion is None else {"motion": motion.kind, "speed": motion.speed}
    if name is None or motion == trained:
        return facts
    print(f"note: {name} was trained with {told(trained)}; here it meets {told(motion)}", flush=True)
    return facts | {"trained_motion": told(trained)}


def _exported(settings: Settings, stored: Stored) -> str | None:
    """What rows call the exported file that is to act; None if none is. Raises BadInput for one that is damaged or made of other weights."""
    from policy.inference import EXPORTED

    if not settings.inference.endswith(EXPORTED):
        return None
    from policy.export.record import verified

    return f"onnx {verified(settings.inference, stored.sha256)['file']['sha256'][:16]}"


def _origin(name: str, training: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the environment takes over of demonstrations that another program recorded. Raises BadInput if they have none here."""
    if training.get("task_version") == UNKNOWN:
        reason = training.get("no_environment") or "they were converted by an earlier version of this package; convert and train again"
        raise BadInput(f"checkpoint={name}: cannot be scored, since no environment here fits its demonstrations: {reason}")
    if origin := training.get("origin"):
        from envs.foreign.origin import Origin
        from whatwhere.schema import made

        made(origin, Origin, f"checkpoint={name}: training.origin")
    return origin


def _streams(training: Mapping[str, Any]) -> str | None:
    """Which streams the policy looks through: random, or the first digits of their sha256; None for an encoder without."""
    name = training.get("streams")
    if name in (None, "none"):
        return None
    return ("random" if name.startswith("random") else name[:8]) + (" unfrozen" if training.get("unfreeze") else "")
