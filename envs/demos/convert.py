"""`python -m envs.demos.convert src=SRC out=DST to=robomimic|lerobot|folder`: converts demonstrations to the formats of robomimic and
LeRobot, and back.

src=[A,B] joins several, in that order.

The source's format is recognised. A round trip restores this package's files byte for byte, except with pictures=video, which is lossy.
"""

from __future__ import annotations

import hashlib
import shlex
from os.path import realpath
from pathlib import Path
from typing import Annotated, Any

from envs.demos.episodes import Episode
from envs.demos.formats import FORMATS, Reading, Source, Writing, module_of
from envs.demos.formats.joined import Joined
from envs.demos.matching import Matched
from envs.options import Names, ScaledPixels
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import sha256
from whatwhere.kinds import InputPath, Length, OneOf, Place, Range, Text
from whatwhere.options import options

PICTURES = ("image", "video")


@options
class Settings:
    """What `envs/conf/convert.yaml` describes. Raises BadInput for values that cannot be."""

    src: Annotated[tuple[InputPath, ...], Length(1, 10_000)]
    out: Annotated[str, Place("a folder, or for robomimic a file", "either")]
    to: Annotated[str, OneOf(FORMATS)]
    n: Annotated[int, Range(1, 100_000)] | None
    pictures: Annotated[str, OneOf(PICTURES)]
    crf: Annotated[int, Range(0, 51)]
    valid: Annotated[float, Range(0, 1, below=True)]
    task: Annotated[str, Text("the name of a task", 200)] | None
    instruction: Annotated[str, Text("a sentence", 1000)] | None
    cameras: Names | None
    proprio: Names | None
    size: ScaledPixels | None
    draw: Names | None

    def __post_init__(self) -> None:
        for source in (Path(realpath(one)) for one in self.src):
            target = Path(realpath(self.out))
            if source == target or target.is_relative_to(source) or source.is_relative_to(target):
                raise BadInput(f"out={self.out}: is or is inside the demonstrations themselves, or they in it; choose another out=")

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
        hashes = [content_hash(Path(one)) for one in self.src]
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
        print(f"{self.name(index)}: {counted(len(episode), 'step')} · {index + 1}/{self.n}", flush=True)
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
    if not out.exists():
        check_writable("out", out.parent)
    with Joined(settings.src, settings.reading) as source, Matched(source) as matched:
        first: Any = First(matched if settings.to == "folder" else source, settings.n)  # a folder is what is learnt from here
        module_of(settings.to).write(out, first, settings.writing, settings.content())
        for note, count in matched.notes.items():
            print(f"note: {note} ({count} of {len(first)})")
        print(f"{counted(len(first), 'demonstration')} in {out} ({settings.to}); look at them with: python -m envs.demos.inspect demos={shlex.quote(str(out))}")


if __name__ == "__main__":
    command("envs.conf", "convert", Settings, main)
