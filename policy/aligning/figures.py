"""Figures of what words and patches say to each other (spec B11): maps over pictures, and t-SNE of both embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from policy.aligning.alignment import Alignment, share_of_cells
from policy.aligning.captions import tell
from policy.aligning.loop import read
from policy.aligning.measure import embeddings
from policy.language.vocabulary import words_of
from policy.probing.named import Named, read_named
from policy.shapes import Tokens, cell_centres
from policy.storage.aligned import find_alignment, load_alignment
from policy.storage.checkpoint import load_streams
from policy.training.aligned import streams_of
from policy.training.device import use_processor
from whatwhere.disk import check_writable
from whatwhere.errors import BadInput
from whatwhere.files import atomic

FEWEST = 10  # points of a t-SNE


@torch.no_grad()
def draw(align: str, scenes: str, out: str, streams: str | None, shown: int, points: int, seed: int, threads: int) -> None:
    """Writes `maps.png` and `tsne.png` of held-out scenes. Raises BadInput."""
    use_processor(threads)
    model, _ = load_alignment(find_alignment(align))
    data = read_named(scenes, fit=0, held_out=None)
    data = data if len(data) <= points else read_named(scenes, 0, points)
    if len(data) < max(FEWEST, shown):
        raise BadInput(f"scenes={scenes}: holds out {len(data)} scenes; needs {max(FEWEST, shown)}")
    eyes, _ = load_streams(streams_of(align, streams))
    if eyes.size != data.size:
        raise BadInput(f"scenes={scenes}: pictures of {data.size} px, the streams need {eyes.size} px")
    folder = Path(out)
    check_writable("out", folder)
    patches = read(eyes.eval(), data)
    mpl.use("Agg")
    for name, figure in (("maps", maps(model, data, patches, shown, seed)), ("tsne", tsne(model, data, patches, seed))):
        with atomic(folder / f"{name}.png") as path:
            figure.savefig(path, dpi=120, format="png")
        print(folder / f"{name}.png")


def maps(model: Alignment, data: Named, patches: Float[Tensor, "n c p d"], shown: int, seed: int) -> Any:
    """A row for each scene: from each camera the patches that its instruction means, and which names the patches of each thing answer to."""
    from matplotlib.figure import Figure

    cameras, rows = data.index["cameras"], np.arange(shown)
    said = tell(data, rows, np.random.default_rng(seed))
    first = np.flatnonzero(said.meant == 0)  # one sentence for each scene
    figure = Figure(figsize=(3.2 * len(cameras) + 4.4, 3.1 * shown), layout="constrained")
    axes = figure.subplots(shown, len(cameras) + 1, squeeze=False)
    names = list(model.language.is_name.nonzero()[:, 0].tolist())
    words = [word for word, number in model.language.numbers.items() if number in names]
    meanings = torch.nn.functional.normalize(model.language.meanings.weight[names], dim=-1)  # (names, e)
    for row in rows:
        code = model.language.code(said.sentences[first[row]])[None]
        _, shares, _ = model.language.read(code)
        for camera, name in enumerate(cameras):
            tokens = Tokens(patches[row, camera][None].float(), cell_centres(model.grid))
            pointed = model.join.point(tokens, model.language(code))
            assert pointed is not None
            heat = pointed.attention[0, 0].unflatten(0, model.grid).numpy()
            x, y = (pointed.keypoints[0, 0].numpy() + 1) / 2 * data.size
            axis = axes[row, camera]
            axis.imshow(data.frames[row, camera, 0], extent=(0, data.size, data.size, 0))
            axis.imshow(heat, extent=(0, data.size, data.size, 0), cmap="inferno", alpha=0.55, interpolation="bilinear")
            axis.plot(x, y, "+", color="white", markersize=12)
            axis.set(xticks=[], yticks=[], title=name)
        told = [f"{word} ({100 * share:.0f} %)" if share > 0.1 else word for word, share in _shares(said.sentences[first[row]], shares)]
        axes[row, 0].set_xlabel(" ".join(told), fontsize=8, loc="left")
        z = model.join.embed(patches[row, 0][None].float())[0]  # (n, e)
        there = share_of_cells(torch.from_numpy(data.places[row, 0]).float(), model.grid)  # (o, n)
        answer = (model.language.temperature() * (there @ z) @ meanings.T).softmax(-1).numpy()  # (o, names)
        axis = axes[row, len(cameras)]
        axis.imshow(answer, cmap="inferno", vmin=0, vmax=0.6, aspect="auto")
        axis.set_xticks(range(len(words)), words, rotation=60, fontsize=8)
        axis.set_yticks(range(len(answer)), [data.name(kind) for kind in data.kinds[row]], fontsize=8)
        axis.set_title(f"names that the patches there answer to ({cameras[0]})", fontsize=8)
    return figure


def _shares(sentence: str, shares: Tensor) -> list[tuple[str, float]]:
    """Each word, and how much of the query for what is meant is its meaning."""
    words = words_of(sentence)
    return list(zip(words, shares[0, 0, 1 : len(words) + 1].tolist(), strict=True))


def tsne(model: Alignment, data: Named, patches: Float[Tensor, "n c p d"], seed: int) -> Any:
    """Left: patches where things lie (dots) and their names (stars), coloured as the things. Right: pictures and captions, a line between those that match."""
    from matplotlib.colors import is_color_like
    from matplotlib.figure import Figure
    from sklearn.manifold import TSNE

    figure = Figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    scene, thing = np.nonzero(data.seen[:, 0])
    z = torch.stack([model.join.embed(patches[row, 0][None].float())[0] for row in range(len(data))])  # (n, p, e)
    at = torch.einsum("np,npe->ne", share_of_cells(torch.from_numpy(data.places[scene, 0, thing]).float(), model.grid), z[scene])
    kinds = data.kinds[scene, thing]
    names = np.unique(kinds)
    queries, _, _ = model.language.read(torch.stack([model.language.code(f"the {data.name(kind)}") for kind in names]))
    flat = _flattened(TSNE, torch.cat([at, queries[:, 0]]).numpy(), seed)
    for number, kind in enumerate(names):
        colour, shape = data.name(kind).split()
        marker = "s^od"[list(data.index["shapes"]).index(shape) % 4]
        mine = np.flatnonzero(kinds == kind)
        left.scatter(*flat[mine].T, s=12, marker=marker, color=colour if is_color_like(colour) else None, alpha=0.6)
        left.annotate(f"★ {data.name(kind)}", flat[len(kinds) + number], fontsize=8)
    left.set(title="patches where things lie, and the names' queries (★)", xticks=[], yticks=[])
    pictures, texts, _ = embeddings(model, data, patches, np.arange(len(data)))
    flat = _flattened(TSNE, np.concatenate([pictures, texts]), seed)
    n = len(pictures)
    right.plot(*np.stack([flat[:n], flat[n:]], axis=1).transpose(2, 1, 0), color="0.8", linewidth=0.6, zorder=0)
    right.scatter(*flat[:n].T, s=10, label="pictures")
    right.scatter(*flat[n:].T, s=10, label="captions")
    right.legend()
    right.set(title="pictures and captions; lines join those that match", xticks=[], yticks=[])
    return figure


def _flattened(kind: Any, values: np.ndarray, seed: int) -> np.ndarray:
    return kind(perplexity=min(30, (len(values) - 1) / 3), init="pca", random_state=seed).fit_transform(values)
