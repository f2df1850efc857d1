"""`python -m policy.publish checkpoint=FOLDER results=FOLDER`: adds a trained policy to the shipped ones, with its score, and rewrites the manifest.

`streams=FOLDER` alone: pre-trained streams become the default of `policy.finetune`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from policy.choices import chosen
from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import path_name, read_json
from whatwhere.kinds import InputPath, OutputFolder, Text
from whatwhere.options import options

if TYPE_CHECKING:
    from policy.config import PolicyConfig


@options
class Settings:
    checkpoint: InputPath | None
    results: InputPath | None
    streams: InputPath | None
    root: OutputFolder
    name: Annotated[str, Text("a name of letters, digits, dots, dashes and underscores", 60, r"\w[\w.-]*")] | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is None and self.results is None and self.streams is not None:
            return
        for name in ("checkpoint", "results"):
            if getattr(self, name) is None:
                raise BadInput(f"{name}: missing; give {name}=FOLDER")


def main(settings: Settings) -> None:
    check_writable("root", settings.root)
    from policy.config import PolicyConfig, StreamsConfig
    from policy.storage.checkpoint import load, load_fusion, load_streams, save_pretrained, save_streams, write_manifest
    from policy.storage.stored import versioned

    if settings.streams is not None:  # with the record of their pre-training, which a policy's own copy does not have
        streams, record = load_streams(settings.streams)
        gap = record.get("frame_gap", PolicyConfig.frame_gap)
        config = PolicyConfig(size=record["size"], frame_gap=gap, streams=StreamsConfig(**record["streams"]))
        digest = save_streams(streams, settings.root, config, record.get("training"), load_fusion(settings.streams, streams.grid))
        if settings.checkpoint is None:
            print(write_manifest(settings.root, digest).parent / "streams" / digest[:16])
            return
    assert settings.checkpoint is not None and settings.results is not None
    loaded = load(settings.checkpoint)
    score = score_of(Path(settings.results) / "results.json", loaded.sha256)
    training: dict[str, Any] = dict(loaded.config.get("training") or {})
    folder = Path(settings.root) / path_name(versioned(loaded.config["task"], training.get("task_version"))) / (settings.name or _name(loaded.policy.config))
    save_pretrained(
        loaded.policy,
        folder,
        task=loaded.config["task"],
        normalisation=loaded.normalisation,
        training=training,
        score=score,
        streams_root=settings.root,
    )
    write_manifest(settings.root)
    print(folder)


def _name(policy: PolicyConfig) -> str:
    """The folder of a policy below its task's: one name for each encoder, head, language and join, and for what it sees and how late."""
    named = {"only": policy.streams_used if policy.streams_used != "both" else "", "latency": policy.latency or "", "actions": policy.action_latency or ""}
    return "_".join([*chosen(policy), *(f"{name}{value}" for name, value in named.items() if value)])


def score_of(path: Path, sha256: str) -> dict[str, Any]:
    """What a checkpoint says of its evaluation. Raises BadInput if `path` is the score of other weights."""
    from policy.storage.records import Score

    results: Score = read_json(path, Score)
    if results["sha256"] != sha256:
        raise BadInput(f"{path}: the score of the weights {str(results['sha256'])[:16]}, not of {sha256[:16]}; evaluate this checkpoint first")
    if odd := [f"{name}={value}" for name in ("perturbation", "without", "said", "fault", "trained_for") if (value := results.get(name))]:
        raise BadInput(f"{path}: the score under other conditions than the policy's own ({', '.join(odd)}); evaluate it without them")
    return {key: results.get(key) for key in ("seed", "episodes", "success", "position_error_cm", "relation_rate", "versions")}


if __name__ == "__main__":
    command("policy.conf", "publish", Settings, main)
