"""Every choice in making new demonstrations of recorded ones, checked before a simulator is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from envs.demos.collect_settings import SEEDS, check_seed
from envs.options import Horizon, Noise, Pixels, Rendering, Task
from envs.seeds import DEVELOPMENT
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, OneOf, OutputFolder, Processes, Range, Share
from whatwhere.options import options
from whatwhere.versions import stamp

SELECT = ("nearest", "random")


@options
class Settings:
    """What `envs/conf/multiply.yaml` describes. Raises BadInput for values that cannot be."""

    src: InputPath
    n: Annotated[int, Range(1, 100_000)]
    num_demos: Annotated[int, Range(1, 100_000)] | None
    seed: Annotated[int, Range(0, DEVELOPMENT.stop - 1, why=SEEDS)]
    select: Annotated[str, OneOf(SELECT)]
    hurry: bool
    noise: Noise
    slips: Share
    rendering: Rendering | None
    size: Pixels | None
    horizon: Horizon | None
    num_workers: Processes
    development: bool
    out: OutputFolder | None
    task: Task | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed, self.development)
        if self.num_demos is not None and self.n < self.num_demos:
            raise BadInput(f"n={self.n}: new demonstrations are made of num_demos={self.num_demos}; ask for at least as many")

    @property
    def folder(self) -> Path:
        first = f"-first{self.num_demos}" if self.num_demos is not None else ""
        rarely = ("" if self.hurry else "-unhurried") + (f"-{self.rendering}" if self.rendering else "") + (f"-{self.size}px" if self.size else "")
        rarely += f"-horizon{self.horizon}" if self.horizon else ""
        name = f"multiplied{first}-{self.select}-seed{self.seed}-noise{self.noise:g}-slips{self.slips:g}{rarely}"
        return Path(self.out or f"{self.src.rstrip('/')}-{name}")

    def content(self, sources: str) -> dict[str, Any]:
        """What the files depend on: all that must be the same for a run to continue in a folder. `sources`: a digest of the demonstrations."""
        names = ("seed", "select", "hurry", "noise", "slips", "rendering", "size", "horizon")
        given = {name: getattr(self, name) for name in names} | {name: stamp()[name] for name in ("mujoco", "robosuite")}
        return {"kind": "multiplied demonstrations", "sources": sources} | given
