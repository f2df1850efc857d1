"""Turns a video into a looping picture (animated WebP or GIF), for pages that cannot play videos, such as the README."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from whatwhere.command import command
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import atomic
from whatwhere.kinds import InputPath, OutputFile, Range
from whatwhere.options import options

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {".webp": "WEBP", ".gif": "GIF"}
MOST_FRAMES = 2000  # they are all in memory


@options
class Settings:
    """What `eval/conf/animate.yaml` describes. Raises BadInput for values that cannot be."""

    video: InputPath | None
    out: OutputFile | None
    width: Annotated[int, Range(16, 4096)]
    hz: Annotated[float, Range(1, 50)]
    quality: Annotated[int, Range(0, 100)]

    def __post_init__(self) -> None:
        if self.video is None:
            raise BadInput("video: missing; give video=FILE.mp4, one of the videos that eval.run writes")
        if self.path.suffix.lower() not in KINDS:
            raise BadInput(f"out={self.out}: must end in {' or '.join(KINDS)}")

    @property
    def path(self) -> Path:
        return Path(str(self.video)).with_suffix(".webp") if self.out is None else Path(self.out)


def frames(video: Path, width: int, hz: float) -> tuple[list[Image], float]:
    """The frames of a video at `hz` frames a second or fewer, scaled to `width`, and how long each is shown, in seconds.

    Raises BadInput if the file is no video, is damaged, or has too many frames.
    """
    from PIL import Image

    from whatwhere.film import Film
    from whatwhere.picture import Unreadable

    found: list[Any] = []
    try:
        with Film(video) as film:
            rate = film.stream.average_rate or Fraction(25)
            every = max(1, round(float(rate) / hz))
            for i, frame in enumerate(film.frames()):
                if i % every == 0:
                    if len(found) == MOST_FRAMES:
                        raise BadInput(f"video={video}: more than {MOST_FRAMES} frames at hz={hz:g}; give a shorter video or a smaller hz")
                    wide, high = film.shown_size(frame)
                    found.append(Image.fromarray(film.picture(frame, width, max(1, round(width * high / wide)))))
            if film.damage is not None:
                raise BadInput(f"video={video}: {film.damage}")
    except Unreadable as error:
        raise BadInput(f"video={video}: {error}") from None
    return found, float(every / rate)


def main(settings: Settings) -> None:
    check_writable("out", settings.path.parent)
    found, seconds = frames(Path(str(settings.video)), settings.width, settings.hz)
    first, *rest = found
    kind = KINDS[settings.path.suffix.lower()]
    how = {"quality": settings.quality, "method": 6} if kind == "WEBP" else {"optimize": True}
    with atomic(settings.path) as draft:
        first.save(draft, kind, save_all=True, append_images=rest, duration=round(1000 * seconds), loop=0, **how)
    size = settings.path.stat().st_size / 1e6
    print(f"wrote {settings.path}: {first.width} × {first.height} pixels, {len(found) * seconds:.1f} s, {size:.2f} MB")


if __name__ == "__main__":
    command("eval.conf", "animate", Settings, main)
