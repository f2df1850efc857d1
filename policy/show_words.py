"""`python -m policy.show_words align=outputs/align scenes=data/named/pick_at_xy out=outputs/words`: how words and patches are aligned (spec B11).

`maps.png`: pictures with the patches that an instruction refers to, which of its words name the object, and which names match the patches of each object.
`tsne.png`: t-SNE of patches with names, and of pictures with captions. Needs scikit-learn (pip install 'whatwhere[language]').
"""

from __future__ import annotations

import importlib.util
from typing import Annotated

from policy.options import Threads
from whatwhere.command import command
from whatwhere.errors import BadInput
from whatwhere.kinds import InputPath, OutputFolder, Range, Seed
from whatwhere.options import options


@options
class Settings:
    """What `policy/conf/show_words.yaml` describes."""

    align: InputPath
    scenes: InputPath
    out: OutputFolder
    streams: InputPath | None
    shown: Annotated[int, Range(1, 20)]
    points: Annotated[int, Range(10, 5000)]
    seed: Seed
    num_threads: Threads

    def __post_init__(self) -> None:
        if importlib.util.find_spec("sklearn") is None:
            raise BadInput("show_words: needs scikit-learn, not installed here; run: pip install 'whatwhere[language]'")
        from policy.probing.named import read_index  # numpy: not for --help
        from policy.storage.aligned import find_alignment

        find_alignment(self.align)
        read_index(self.scenes)


def main(settings: Settings) -> None:
    """Raises BadInput."""
    from policy.aligning.figures import draw

    draw(settings.align, settings.scenes, settings.out, settings.streams, settings.shown, settings.points, settings.seed, settings.num_threads)


if __name__ == "__main__":
    command("policy.conf", "show_words", Settings, main)
