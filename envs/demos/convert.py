"""`python -m envs.demos.convert src=SRC out=DST to=robomimic|lerobot|folder`: converts demonstrations to the formats of robomimic and
LeRobot, and back.

src=[A,B] joins several, in that order.

The source's format is recognised. What this package wrote comes back bit by bit, except with pictures=video, which has loss.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import Any

from envs.demos.episodes import Episode
from envs.demos.formats import FORMATS, Reading, Source, Writing, module_of
from envs.demos.formats.joined import Joined
from whatwhere.command import command, positive
from whatwhere.errors import BadInput, choose
from whatwhere.files import sha256

PICTURES = ("image", "video")


@dataclass(frozen=True)
class Settings:
    """What `envs/conf/convert.yaml` describes. Raises BadInput for values that cannot be."""

    src: str | list[str]
    out: str
    to: str
    n: int | None
    pictures: str
    crf: int
    valid: float
    task: str | None
    instruction: str | None
    cameras: tuple[str, ...] | None
    proprio: tuple[str, ...] | None
    size: int | None
    draw: tuple[str, ...] | None

    def __post_init__(self) -> None:
        choose("to", self.to, FORMATS)
        choose("pictures", self.pictures, PICTURES)
        positive("n", 1 if self.n is None else self.n)
        positive("size", 16 if self.size is None else self.size, 16)
        if not 0 <= self.crf <= 51:
            raise BadInput(f"crf={self.crf}: must be 0 to 51")
        if not 0 <= self.valid < 1:
            raise BadInput(f"valid={self.valid}: must be at least 0 and less than 1")
        for name in ("cameras", "proprio", "draw"):
            if getattr(self, name) == ():
                raise BadInput(f"{name}=[]: name at least one")
        if not self.sources:
            raise BadInput("src=[]: name at least one")
        for source in (Path(realpath(one)) for one in self.sources):
            target = Path(realpath(self.out))
            if source == target or target.is_relative_to(source) or source.is_relative_to(target):
                raise BadInput(f"out={self.out}: is or is inside the demonstrations themselves, or they in it; choose another out=")

    @property
    def sources(self) -> list[str]:
        return [self.src] if isinstance(self.src, str) else self.src

    @property
    def reading(self) -> Reading:
        return Reading(task=self.task, instruction=self.instruction, cameras=self.cameras, proprio=self.proprio, size=self.size, draw=self.draw)

    @property
    def writing(self) -> Writing:
        return Writing(pictures=self.pictures, crf=self.crf, valid=self.valid)

    def content(self) -> dict[str, Any]:
        """What the output depends on, so that the same command finds its own and another is refused."""
        own = {"lerobot": ("pictures", "crf"), "robomimic": ("valid",), "folder": ()}[self.to]
        names = (*own, "n", "task", "instruction", "cameras", "proprio", "size", "draw")
        hashes = [content_hash(Path(one)) for one in self.sources]
        given = {name: getattr(self, name) for name in names}
        return {"kind": "converted demonstrations", "to": self.to, "sha256": hashes[0] if len(hashes) == 1 else hashes} | given


class First:
    """The first n demonstrations of a source, with a line printed for each."""

    def __init__(self, source: Source, n: int | None) -> None:
        self.source, self.path, self.name, self.header = source, source.path, source.name, source.header
        self.n = min(len(source), n or len(source))

    def __len__(self) -> int:
        return self.n

    def episode(self, index: int) -> Episode:
        episode = self.source.episode(index)
        print(f"{self.name(index)}: {len(episode)} steps · {index + 1}/{self.n}", flush=True)
        return episode


def content_hash(path: Path) -> str:
    """sha256 of a file, or of all files of a folder and their names, hidden ones left out."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)):
        digest.update(f"{file.relative_to(path)}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def main(settings: Settings) -> None:
    out = Path(settings.out)
    with Joined(settings.sources, settings.reading) as source:
        first: Any = First(source, settings.n)
        module_of(settings.to).write(out, first, settings.writing, settings.content())
        print(f"{len(first)} demonstrations in {out} ({settings.to}); look at them with: python -m envs.demos.inspect demos={shlex.quote(str(out))}")


if __name__ == "__main__":
    command("envs.conf", "convert", Settings, main)
