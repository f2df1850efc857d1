"""What stands beside an exported file: all that it takes to ask it and to obey it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy.export import INPUTS, OUTPUTS
from policy.export.numbers import CONTROL_HZ, NUMBERS, numbers
from policy.history import names
from whatwhere.versions import installed, stamp

if TYPE_CHECKING:
    from policy.storage.checkpoint import Checkpoint

EXAMPLE = "pick up the red cube"


def about(loaded: Checkpoint, checkpoint: str, outputs: list[list[int]], needs: tuple[str, ...]) -> dict[str, Any]:
    """In plain JSON values. `outputs`: the shapes of those of policy.export.OUTPUTS that the file has; `needs`: the distributions that wrote it."""
    config, training, task = loaded.policy.config, loaded.config.get("training") or {}, loaded.config["task"]
    own = names(config, numbers(task, "proprio", config.proprio_dim), numbers(task, "actions", config.action_dim))
    late = f"both {config.latency} steps late; " if config.latency else ""
    pictures = [1, len(config.cameras), 2, config.size, config.size, 3]
    frames = {
        "type": "uint8",
        "shape": pictures,
        "axes": ["batch", "camera", "earlier and present picture", "row, from the top", "column, from the left", "red, green, blue"],
        "cameras": list(config.cameras),
        "frame_gap": config.frame_gap,
        "meaning": f"for each camera the picture {config.frame_gap} control steps before and the newest, 0 to 255; {late}the first twice at the start",
    }
    proprio = {"type": "float32", "shape": [1, config.own_dim], "numbers": own}
    language, example = loaded.policy.language, loaded.policy.language.code(EXAMPLE)
    words = {"type": str(example.dtype).removeprefix("torch."), "shape": [1, *language.shape], "made_from": "the instruction", "how": language.how}
    words["example"] = {"instruction": EXAMPLE, "value": example.tolist()}
    noise = {"type": "float32", "shape": [1, loaded.policy.head.noise], "meaning": "standard normal numbers, drawn anew for every answer"}
    actions = {
        "type": "float32",
        "axes": ["batch", "control step", "number"],
        "numbers": numbers(task, "actions", config.action_dim),
        "range": [-1.0, 1.0],
        "meaning": f"the next {config.chunk} control steps, the first one now; carry out {config.execute}, then ask again",
        "execute": config.execute,
    }
    keypoints = {"type": "float32", "axes": ["batch", "camera", "keypoint", "x, y"], "meaning": "where it looked: -1 is the left or upper edge, 1 the other"}
    attention = {"type": "float32", "axes": ["batch", "camera", "keypoint", "patch"], "meaning": "how much it looked at each patch; sums to 1"}
    named = dict(zip(OUTPUTS, (actions, keypoints, attention), strict=True))
    trained_for = {name: value for name in ("latency", "action_latency") if (value := getattr(config, name))}
    trained_for |= {"streams_used": config.streams_used} if config.streams_used != "both" else {}
    return {
        "format": 1,
        "task": task,
        "task_version": training.get("task_version"),
        "checkpoint": checkpoint,
        "sha256": loaded.sha256,
        "streams_sha256": loaded.config.get("streams_sha256"),
        "encoder": config.encoder,
        "head": config.head,
        "control_hz": training.get("control_hz", CONTROL_HZ if task in NUMBERS else None),
        **trained_for,
        "inputs": dict(zip(INPUTS, (frames, proprio, words, *[noise] * (loaded.policy.head.noise > 0)), strict=False)),
        "outputs": {name: {"shape": shape} | named[name] for name, shape in zip(OUTPUTS, outputs, strict=False)},
        "normalisation": {"where": "inside the file: give and take the numbers as they are", **dict(loaded.config["normalisation"])},
        "score": loaded.config.get("score"),
        "versions": stamp() | {name: installed(name) for name in needs},
    }
