"""`python -m policy.show_words align=outputs/align scenes=data/named/pick_at_xy out=outputs/words`: how words and patches are aligned (spec B11).

`maps.png`: pictures with the patches that an instruction refers to, which of its words name the object, and which names match the patches of each object.
`tsne.png`: t-SNE of patches with names, and of pictures with captions. Needs scikit-learn (pip install 'whatwhere[language]').

`python -m policy.show_words checkpoint=FOLDER demos=FOLDER`: where words and patches attend to each other in a policy, at moments of a demonstration.

`words_to_patches.png`: for each word, the patches that it attends to. `patches_to_words.png`: for each word, how much of their attention patches give it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from policy.joins import ATTENDING
from policy.options import Threads
from whatwhere.command import command
from whatwhere.counted import counted
from whatwhere.errors import BadInput, one_of
from whatwhere.kinds import InputPath, OutputFolder, Range, Seed, Text
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
    checkpoint: InputPath | None
    demos: InputPath | None
    episode: Annotated[int, Range(0, 10_000_000)]
    moments: Annotated[int, Range(1, 12)]
    instruction: Annotated[str, Text("a sentence", 1000)] | None

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            self._check_policy(self.checkpoint)
            return
        for name in ("demos", "instruction"):
            if (value := getattr(self, name)) is not None:
                raise BadInput(f"{name}={value}: is for showing a policy; add checkpoint=FOLDER, or leave it out")
        if importlib.util.find_spec("sklearn") is None:
            raise BadInput("show_words: needs scikit-learn, not installed here; run: pip install 'whatwhere[language]'")
        from policy.probing.named import read_index  # numpy: not for --help
        from policy.storage.aligned import find_alignment

        find_alignment(self.align)
        read_index(self.scenes)

    def _check_policy(self, checkpoint: str) -> None:
        from policy.storage.stored import verify

        join = verify(checkpoint).policy.join
        if join not in ATTENDING:
            raise BadInput(f"checkpoint={checkpoint}: join={join}, in which words and patches do not attend to each other; needs {one_of(ATTENDING)}")
        if self.demos is None:
            raise BadInput("demos: missing; give demos=FOLDER, demonstrations whose pictures are shown to the policy")
        demo_of(self.demos, self.episode)


def demo_of(demos: str, episode: int) -> Path:
    """The file of the demonstration that is shown. Raises BadInput."""
    from envs.demos.episodes import episode_paths  # h5py: not for --help

    paths = episode_paths(demos)
    if episode >= len(paths):
        raise BadInput(f"episode={episode}: {demos} holds {counted(len(paths), 'episode')}, the first is 0")
    return paths[episode]


def main(settings: Settings) -> None:
    """Raises BadInput."""
    if settings.checkpoint is not None:
        from policy.aligning.attention_figures import draw_attention

        demo = demo_of(str(settings.demos), settings.episode)
        draw_attention(settings.checkpoint, demo, settings.out, settings.moments, settings.instruction, settings.num_threads)
        return
    from policy.aligning.figures import draw

    draw(settings.align, settings.scenes, settings.out, settings.streams, settings.shown, settings.points, settings.seed, settings.num_threads)


if __name__ == "__main__":
    command("policy.conf", "show_words", Settings, main)
