"""Every choice of an evaluation, checked before a simulator or torch is imported."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from eval.options import CmPerS, Expert, Latency, Perturbation, Pixels, PlayedMotion, Rendering, Split, Task, Version
from eval.playing.faults import FAULTS, OF_CAMERAS, REFUSED
from eval.playing.player import QUERIES, TRAINING_START
from eval.playing.policies import POLICIES
from policy.inference import EXPORTED
from policy.options import ChunkLength, Device, Encoder, Fallback, Inference, Said, Without
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, Length, OneOf, OutputFolder, Processes, Range, Seed, Text
from whatwhere.options import options

ALLOWED = ("rendering", "version", TRAINING_START)


@options
class Settings:
    """What `eval/conf/run.yaml` describes. Raises BadInput for values that cannot be."""

    task: Task | None
    encoder: Encoder | None
    checkpoint: InputPath | None
    policy: Annotated[str, OneOf(POLICIES)]
    execute: ChunkLength | None
    episodes: Annotated[int, Range(1, 1_000_000)]
    first: Annotated[int, Range(0, 10_000_000)]
    seed: Seed
    num_envs: Processes | None
    video: Annotated[int, Range(0, 1_000_000)] | Annotated[str, OneOf("failures")]
    trajectories: bool
    out: OutputFolder | None
    device: Device
    rendering: Rendering | None
    perturbation: Perturbation | None
    size: Pixels | None
    timeout_s: Annotated[float, Range(1, 86_400)]
    allow: list[Annotated[str, OneOf(ALLOWED)]] | None
    expert: Expert | None = None
    inference: Inference = "auto"
    queries: Annotated[str, OneOf(QUERIES)] = "own"
    version: Version | None = None
    split: Split | None = None
    latency: Latency | None = None
    action_latency: Latency | None = None
    goal: InputPath | None = None
    decoder: InputPath | None = None
    demos: InputPath | None = None
    inverse: InputPath | None = None
    without: Without | None = None
    said: Said | None = None
    influence: bool = False
    motion: PlayedMotion | None = None
    speed: Annotated[tuple[CmPerS, ...], Length(2, 2)] | None = None
    fallback: Fallback = "none"
    fault: Annotated[str, OneOf(FAULTS)] | None = None
    fault_from: Annotated[int, Range(0, 1_000_000)] = 10
    fault_camera: Annotated[str, Text("a camera's name", 200)] | None = None

    def __post_init__(self) -> None:
        if self.task is None and (self.checkpoint is None or self.policy != "learned"):
            raise BadInput("task: missing; give task=pick_at_xy (or another one of docs/tasks.md) or checkpoint=NAME")
        if self.policy == "expert":
            from envs.experts import check_expert

            check_expert(self.task_name, self.expert)
        if self.policy != "learned" or self.version is not None:
            from envs.catalogue import check_version

            check_version(self.task_name, self.version or 0, self.split)
        if self.policy == "deaf":
            from envs.experts import check_deaf

            check_deaf(self.policy, self.version or 0)
        if self.policy != "learned" and self.checkpoint is not None:
            raise BadInput(f"checkpoint={self.checkpoint}: policy={self.policy} has none; leave it out or use policy=learned")
        if self.goal is not None:
            self._check_goal()
        if self.decoder is not None and (self.policy != "learned" or self.video == 0):
            raise BadInput(f"decoder={self.decoder}: draws what a learned policy wants, in videos; needs policy=learned and video=1 or more")
        for name in ("demos", "inverse"):
            if self.decoder is None and (value := getattr(self, name)) is not None:
                raise BadInput(f"{name}={value}: is for drawing what a planner wants, in videos; add decoder=FOLDER, or leave it out")
        if self.policy != "learned" and self.without is not None:
            raise BadInput(f"without={self.without}: policy={self.policy} has no streams; leave it out or use policy=learned")
        if self.policy != "learned" and self.said is not None:
            raise BadInput(f"said={self.said}: policy={self.policy} hears nothing; leave it out or use policy=learned")
        if self.policy != "learned" and (self.fallback != "none" or self.fault is not None):
            name = "fault" if self.fault is not None else "fallback"
            raise BadInput(f"{name}={getattr(self, name)}: policy={self.policy} looks at no pictures; leave it out or use policy=learned")
        if self.fault_camera is not None and self.fault not in OF_CAMERAS:
            raise BadInput(f"fault_camera={self.fault_camera}: no camera is made to fail; add fault= one of {', '.join(OF_CAMERAS)}, or leave it out")
        if self.fault in REFUSED and self.fallback == "none":
            raise BadInput(f"fault={self.fault}: a policy without a fallback refuses such pictures; add fallback=hold")
        if self.influence and (self.policy != "learned" or self.video == 0):
            raise BadInput("influence=true: is shown in videos of learned policies; needs policy=learned and video=1 or more")
        for name in ("without", "influence") if self.inference.endswith(EXPORTED) else ():
            if getattr(self, name):
                raise BadInput(f"{name}={str(getattr(self, name)).lower()}: an exported file always sees both streams; use inference=plain")
        if self.policy != "learned" and self.latency is not None:
            raise BadInput(f"latency={self.latency}: policy={self.policy} looks at no pictures; leave it out or use policy=learned")
        if self.policy != "learned" and self.execute is not None:
            raise BadInput(f"execute={self.execute}: policy={self.policy} predicts no chunks; leave it out or use policy=learned")
        if self.inference != "auto" and self.policy != "learned":
            raise BadInput(f"inference={self.inference}: policy={self.policy} computes no answers; leave it out or use policy=learned")
        if self.inference.endswith(EXPORTED) and self.device not in ("auto", "cpu"):
            raise BadInput(f"device={self.device}: an exported file ({self.inference}) runs on the processor; leave device out")
        if self.queries == "batched":
            self._check_batched()

    @cached_property
    def task_name(self) -> str:
        """`task`, or the checkpoint's own. Raises BadInput if that has several."""
        if self.task is not None:
            return self.task
        from policy.storage.stored import verify

        config = verify(str(self.checkpoint)).config
        tasks = list((config.get("training") or {}).get("tasks") or [config["task"]])
        if len(tasks) > 1:
            raise BadInput(f"task: missing; {self.checkpoint} knows {', '.join(tasks)}: give task= one of them")
        return tasks[0]

    def _check_batched(self) -> None:
        if self.policy != "learned":
            raise BadInput(f"queries=batched: policy={self.policy} computes no answers; leave it out or use policy=learned")
        if self.inference not in ("auto", "plain"):
            raise BadInput(f"inference={self.inference}: queries=batched computes in fp32 (plain); leave one of them out")
        for name in ("goal", "decoder"):
            if (value := getattr(self, name)) is not None:
                raise BadInput(f"{name}={value}: needs the policy in each worker; leave out queries=batched")

    def _check_goal(self) -> None:
        from eval.goals.goal_pictures import FILMED, check_pictures

        others = {"policy": (self.policy, "learned"), "latency": (self.latency, None), "action_latency": (self.action_latency, None)}
        for name, (value, usual) in others.items():
            if value not in (usual, 0):
                raise BadInput(f"goal={self.goal}: is not for {name}={value}; leave one of them out")
        if self.inference.endswith(EXPORTED):
            raise BadInput(f"goal={self.goal}: is not for exported files; use inference=plain")
        if self.goal in FILMED:
            from envs.experts import check_expert

            check_expert(self.task_name, self.expert)
        else:
            check_pictures(str(self.goal))
