"""What is trained by `python -m policy.align`, and its losses: the very modules that a policy then gets (`language=aligned`, `join=similarity`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from policy.aligning.contrast import info_nce
from policy.aligning.pictures import Pictures
from policy.config import PolicyConfig
from policy.heads.grid import WIDTH
from policy.joins.join import Sizes
from policy.joins.similarity import Similarity
from policy.language.aligned import Aligned

WORDS_DIM = 64
NOBODY = -1


class Alignment(nn.Module):
    """`language` and `join` for places; `pictures` for whole pictures."""

    def __init__(self, dim: int, grid: tuple[int, int], vocabulary: tuple[str, ...], names: tuple[str, ...]) -> None:
        super().__init__()
        self.grid = grid
        self.language = Aligned(PolicyConfig(language="aligned", vocabulary=vocabulary, names=names, task_dim=WORDS_DIM))
        self.join = Similarity(Sizes(dim, grid, 2, 2, WORDS_DIM, WIDTH, 1))
        self.pictures = Pictures(dim, grid, vocabulary, WORDS_DIM)

    def places_loss(
        self,
        patches: Float[Tensor, "b n d"],
        codes: Int[Tensor, "r l"],
        picture: Int[Tensor, " r"],
        named: Int[Tensor, "r 2"],
        task: Int[Tensor, " r"],
        kinds: Int[Tensor, "b o"],
        places: Float[Tensor, "b o 2"],
        seen: Bool[Tensor, "b o"],
    ) -> dict[str, Tensor]:
        """Sentences r, each of one of b pictures: `named` are its things (numbers; -1: no second one), `task` whose sentence it is (-1: of none).

        Words against patches: the patch where the named thing lies among all patches of the batch, but for those where the same thing lies in another picture.
        Patches against words: which of the things named in the batch it is.
        """
        z = self.join.embed(patches)  # (b, n, e)
        queries, shares, scores = self.language.read(codes)
        scale = self.language.temperature()
        there = share_of_cells(places, self.grid)  # (b, o, n)
        rows, roles = torch.nonzero(named != NOBODY, as_tuple=True)
        things = named[rows, roles]
        asked, where = queries[rows, roles], picture[rows]
        visible = seen[where, things]
        similar = scale * asked @ z.flatten(0, 1).T  # (named, b · n)
        own = F.one_hot(where, len(z)).bool()  # (named, b)
        wanted = (own[:, :, None] * there[where, things][:, None]).flatten(1)
        kind = kinds[where, things]
        alike = (kinds[None] == kind[:, None, None]).float()  # (named, b, o): the same thing in any picture
        ignored = torch.einsum("rbo,bon->rbn", alike, near(there, self.grid)) > 0
        words = info_nce(similar[visible], wanted[visible], (ignored & ~own[:, :, None]).flatten(1)[visible])

        at = (there[where, things][:, :, None] * z[where]).sum(1)[visible]  # (visible, e): what the patches there are
        names = kind[visible][None] == kind[visible][:, None]
        patches_loss = info_nce(scale * at @ asked[visible].T, names / names.sum(1, keepdim=True))

        nothing = shares[..., 0].clamp(1e-6, 1 - 1e-6)  # (r, roles)
        silent = F.binary_cross_entropy(nothing, (named == NOBODY).float())
        asks = task != NOBODY
        what = F.cross_entropy(scores[asks], task[asks]) if asks.any() else scores.sum() * 0
        best = similar.unflatten(1, (len(z), -1))[torch.arange(len(where)), where].amax(1, keepdim=True)
        found = F.binary_cross_entropy_with_logits(self.join.seen(best)[:, 0], visible.float())
        return {"words": words, "patches": patches_loss, "named": silent, "task": what, "seen": found}


def share_of_cells(places: Float[Tensor, "*b 2"], grid: tuple[int, int]) -> Float[Tensor, "*b n"]:
    """Of places (x, y from 0 to 1): how much belongs to which cell, so that the cells' centres, weighed by it, give the place. Sums to 1 along n."""
    size = torch.tensor([grid[1], grid[0]], dtype=places.dtype, device=places.device)
    cell = (places * size - 0.5).clamp(torch.zeros_like(size), size - 1)
    x, y = ((1 - (cell[..., i, None] - torch.arange(int(size[i]), device=places.device)).abs()).clamp(min=0) for i in (0, 1))
    return (y[..., :, None] * x[..., None, :]).flatten(-2)


def near(there: Float[Tensor, "b o n"], grid: tuple[int, int]) -> Float[Tensor, "b o n"]:
    """1 at and beside the cells where a thing lies, else 0."""
    return F.max_pool2d((there > 0).float().unflatten(-1, grid), 3, 1, 1).flatten(-2)
