"""Every choice of a collection of demonstrations, checked before a simulator is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.catalogue import RENDERINGS
from envs.experts import check_actor
from envs.seeds import DEMONSTRATIONS, DEVELOPMENT
from envs.teleop import DEVICES
from whatwhere.errors import BadInput, choose, positive
from whatwhere.files import path_name
from whatwhere.versions import stamp

SOURCES = ("expert", *DEVICES)
RECOVER = ("ask", "true", "false")
LARGEST_VIEW = 480


@dataclass(frozen=True)
class Settings:
    """What `envs/conf/collect.yaml` describes. Raises BadInput for values that cannot be."""

    task: str
    source: str
    n: int
    seed: int
    noise: float
    slips: float
    rendering: str
    size: int
    frame_gap: int
    horizon: int | None
    num_workers: int
    development: bool
    out: str | None
    commands: str | None = None
    expert: str | None = None
    idle: int | None = 10
    recover: str = "ask"
    view: int = 256
    host: str = "127.0.0.1"
    port: int = 8765
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_actor(self.task, self.source, SOURCES, self.expert, "source")
        choose("rendering", self.rendering, RENDERINGS)
        for name in ("n", "size", "frame_gap", "num_workers"):
            positive(name, getattr(self, name))
        positive("horizon", 1 if self.horizon is None else self.horizon)
        positive("noise", self.noise, 0)
        if not 0 <= self.slips <= 1:
            raise BadInput(f"slips={self.slips}: must lie in 0…1")
        choose("recover", self.recover, RECOVER)
        positive("idle", 1 if self.idle is None else self.idle)
        positive("view", self.view, 32)
        if self.view > LARGEST_VIEW:
            raise BadInput(f"view={self.view}: must be at most {LARGEST_VIEW}")
        check_seed(self.seed, self.development)

    @property
    def folder(self) -> Path:
        noise = f"-noise{self.noise:g}-slips{self.slips:g}" if self.source == "expert" else ""
        rarely = (f"-gap{self.frame_gap}" if self.frame_gap != 4 else "") + (f"-horizon{self.horizon}" if self.horizon else "")
        return Path(self.out or f"data/{path_name(self.task)}/{self.source}-seed{self.seed}{noise}-{self.rendering}{self.size}{rarely}")

    def content(self) -> dict[str, Any]:
        """What the files depend on: all that must be the same for a run to continue in a folder."""
        names = ["task", "source", "seed", "noise", "slips", "rendering", "size", "frame_gap", "horizon"]
        if self.source != "expert":
            names = [name for name in names if name not in ("noise", "slips")]  # people bring their own
        names += ["expert"] if self.expert is not None else []
        return {"kind": "demonstrations"} | {name: getattr(self, name) for name in names} | {name: stamp()[name] for name in ("mujoco", "robosuite")}


def check_seed(seed: int, development: bool) -> None:
    """Raises BadInput unless demonstrations may start from `seed`."""
    if seed in DEMONSTRATIONS or (development and seed in DEVELOPMENT):
        return
    raise BadInput(f"seed={seed}: demonstrations take seeds 0–99999 (with development=true also 100000–199999, not to train on); others are for evaluation")
