"""Figures of where words and patches attend in a policy (spec B11), at moments of a demonstration: rows are words, columns moments and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

from envs.demos.episodes import Episode, frame_pairs, read_episode
from policy.config import PolicyConfig
from policy.model import Policy
from policy.storage.checkpoint import load
from policy.training.device import use_processor
from policy.word_attention import WordAttention, on_grid
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import atomic

TILE = 1.35  # inches
FOG = (0.1, 0.1, 0.12)  # RGB


@dataclass(frozen=True)
class Side:
    """Of each moment, a word's maps (c, l, rows, columns) and shares (c, l), what they are, and the power of the maps' scale: below 1, low values are told
    apart where some are very high."""

    maps: list[NDArray[np.float32]]
    shares: list[NDArray[np.float32]]
    unit: str
    share: str
    gamma: float


def draw_attention(checkpoint: str, demo: Path, out: str, moments: int, instruction: str | None, threads: int) -> None:
    """Writes `words_to_patches.png` and `patches_to_words.png` of the demonstration in a file. Raises BadInput."""
    use_processor(threads)
    policy = load(checkpoint, torch.device("cpu")).policy.eval()
    if not policy.attends:
        raise BadInput(f"checkpoint={checkpoint}: encoder={policy.config.encoder} averages the patches, so no word can attend to one")
    episode = read_episode(demo)
    frames = pairs_of(episode, policy.config, demo)
    steps = np.unique(np.linspace(0, len(frames) - 1, moments).round().astype(int))
    said = episode.instruction if instruction is None else instruction
    told = [attention_in(policy, frames[step], said) for step in steps]
    folder = Path(out)
    check_writable("out", folder)
    mpl.use("Agg")
    pictures = [frames[step, :, 1] for step in steps]
    titles = [f"step {step}" for step in steps]
    for name, side in sides(told).items():
        with atomic(folder / f"{name}.png") as path:
            drawn(side, said, told[0].words, pictures, titles, policy.config.cameras).savefig(path, dpi=90, format="png")
        print(folder / f"{name}.png")


def sides(told: Sequence[WordAttention]) -> dict[str, Side]:
    """Both figures of some moments, by name."""
    to_patches = Side(
        [one.to_even() for one in told],
        [one.seen for one in told],
        "times an even share of the word's attention",
        "how much of the word's attention goes to patches",
        0.5,
    )
    to_words = Side(
        [one.of_patches for one in told], [one.heard for one in told], "share of the patch's attention", "how much of the patches' attention the word gets", 1.0
    )
    return {"words_to_patches": to_patches, "patches_to_words": to_words}


def pairs_of(episode: Episode, config: PolicyConfig, demo: Path) -> NDArray[np.uint8]:
    """What the policy sees at each step, (t, c, 2, h, w, 3). Raises BadInput for a demonstration of other cameras or pictures."""
    there = tuple(episode.attrs["cameras"]), int(episode.attrs["size"]), int(episode.attrs["frame_gap"])
    needed = config.cameras, config.size, config.frame_gap
    if there != needed:
        raise BadInput(f"{demo}: cameras, pixels and frame_gap are {there}, the policy's {needed}")
    assert episode.frames is not None
    return frame_pairs(episode.frames, config.frame_gap)


@torch.no_grad()
def attention_in(policy: Policy, frames: NDArray[np.uint8], instruction: str) -> WordAttention:
    """`frames` (c, 2, h, w, 3)."""
    words = policy.words(policy.language.code(instruction)[None]).alone()
    attended = policy.attended(policy.look(torch.from_numpy(frames)[None]), words)
    return on_grid(attended, policy.language.labels(instruction), policy.encoder.grid, policy.encoder.num_grids)


def drawn(side: Side, said: str, words: tuple[str, ...], pictures: list[NDArray[np.uint8]], titles: list[str], cameras: tuple[str, ...]) -> Any:
    """A figure over the `pictures` (c, h, w, 3) of each moment, which stay as they are where the attention is highest and fade where it is low. All maps have
    one scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns, mean = len(titles) * len(cameras), np.mean(side.shares, axis=(0, 1))
    norm = PowerNorm(side.gamma, vmin=0, vmax=max(float(each.max()) for each in side.maps))
    fog = LinearSegmentedColormap.from_list("fog", [(*FOG, 0.9), (*FOG, 0.0)])
    figure = Figure(figsize=(TILE * columns + 2.2, TILE * len(words) + 0.8), layout=ConstrainedLayoutEngine(w_pad=0.08))
    axes = figure.subplots(len(words), columns, squeeze=False)
    for number, word in enumerate(words):
        for column in range(columns):
            moment, camera = divmod(column, len(cameras))
            axis, picture = axes[number, column], pictures[moment][camera]
            extent = (0, picture.shape[1], picture.shape[0], 0)
            axis.imshow(picture, extent=extent)
            axis.imshow(side.maps[moment][camera, number], extent=extent, cmap=fog, norm=norm, interpolation="bilinear")
            axis.set(xticks=[], yticks=[])
            if number == 0:
                axis.set_title(f"{titles[moment]}\n{cameras[camera]}", fontsize=8)
        axes[number, 0].set_ylabel(f"{word}\n{100 * mean[number]:.0f} %", rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
    figure.colorbar(ScalarMappable(norm, fog), ax=axes, label=side.unit, shrink=min(1.0, 3 / len(words)), aspect=30)
    figure.suptitle(f"“{said}”    %: {side.share}", fontsize=10)
    return figure
