"""README.md beside weights: what they are, how they were made, how to load them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policy.choices import USUAL
from policy.storage.stored import versioned
from policy.storage.tensorfile import MODEL
from whatwhere.counted import counted
from whatwhere.files import path_name

VIDEO = "video_prediction"  # the objective where none is named


def _score_line(score: Mapping[str, Any]) -> str:
    success, error = score["success"], score["position_error_cm"]
    low, high = success["ci95"]
    median = "" if error["median"] is None else f", position error {error['median']:.2f} cm (median)"
    return (
        f"Success {success['rate']:.3f} [{low:.3f}, {high:.3f}] (Wilson 95 %){median}, "
        f"{counted(score['episodes'], 'episode')} of seed {score['seed']}: `python -m eval.run`, run once."
    )


def _parts(prefix: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """{`prefix.part`: value}, of parts in parts, too."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _parts(f"{prefix}.{name}", value)
        elif name != "name" and value is not None:
            found[f"{prefix}.{name}"] = value
    return found


def streams_card(record: Mapping[str, Any]) -> str:
    """README.md of pre-trained streams: what they are, on what, how long and by which command they were trained, and what was measured meanwhile."""
    sizes, training = record["streams"], record["training"]
    settings = training.get("settings", {})
    chosen = {name: value for name, value in settings.items() if value is not None and not isinstance(value, dict)}
    objective = settings.get("objective", {})
    chosen |= {"objective": name} if (name := objective.get("name", VIDEO)) != VIDEO else {}
    chosen |= _parts("objective", objective)
    words = [f"{name}={list(value) if isinstance(value, tuple) else value}".replace(" ", "") for name, value in chosen.items() if name not in ("out", "preset")]
    took = f" It took {training['seconds'] / 60:.0f} minutes with num_threads={settings.get('num_threads')}." if "seconds" in training else ""
    figures = "\n".join(f"* {name}: {value:.4g}" for name, value in training.get("figures", {}).items())
    return f"""# Streams {record["sha256"][:16]}

Two small vision transformers of the `whatwhere` package: M sees what changed between two frames, P what is where in one.
Pictures of {record["size"]} px, patches of {sizes["patch"]}, {sizes["dim"]} channels, {sizes["depth"]} blocks, {sizes["heads"]} heads,
stem {sizes["stem"]}; fp16.
The fusion that was trained with them lies beside them, if there was one.

## Training
{settings.get("steps", "?")} steps of {settings.get("batch", "?")} pairs of frames, without action labels.{took}
Data: {training.get("footage", "not recorded")} (`data={settings.get("data", "?")}`).

    python -m policy.pretrain {" ".join(words)}

## Figures
Running means of training batches, then `held_out/` (clips that were never trained on) and `probe/` (centimetres, see docs/probes.md), as last measured.

{figures or "Not recorded."}
"""


def policy_card(config: Mapping[str, Any], name: str | None = None) -> str:
    """README.md of a policy, by the name of its folder (None: its encoder's): what it is, how it was made, its score, how to use it."""
    policy, training, score = config["policy"], config["training"], config["score"]
    streams = f", over the frozen streams {config['streams_sha256'][:16]}" if config["streams_sha256"] else ""
    told = [f"For pictures that are {counted(steps, 'control step')} late."] if (steps := policy.get("latency")) else []
    told += [f"Its actions are carried out {counted(steps, 'control step')} late."] if (steps := policy.get("action_latency")) else []
    told += ["It sees the stream {streams_used} alone.".format(**policy)] if "streams_used" in policy else []
    reads = {name: policy.get(name, USUAL[name]) for name in ("language", "join")}
    told += ["Its instruction: language={language} join={join}.".format(**reads)] if any(name in policy for name in reads) else []
    facts = "\n".join(f"* {key}: {value}" for key, value in training.items() if not isinstance(value, list | dict))
    below = path_name(versioned(config["task"], training.get("task_version")))
    return f"""# {below} · {policy["encoder"]}

A policy of the `whatwhere` package. Cameras: {", ".join(policy["cameras"])}, {policy["size"]} px;
{policy["chunk"]} actions of {policy["action_dim"]} numbers a query, by head {policy["head"]}.{"".join(f" {line}" for line in told)}
Weights: {config["files"][MODEL]["bytes"] / 1e6:.1f} MB in fp16{streams}.

## Training
{facts or "* not recorded"}

## Score
{_score_line(score) if score else "Not evaluated when this was written."}

## Use
```python
from policy.agent import Agent
agent = Agent.from_pretrained("{below}/{name or policy["encoder"]}")   # or this folder
agent.reset()
actions = agent.act({{"frames": frames, "proprio": proprio, "instruction": "…"}})   # uint8 (cameras, 2, h, w, 3), float32 (s,)
```
Made for this task in simulation; it knows no other scene, and no real robot.
"""
