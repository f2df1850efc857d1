"""What an alignment is worth on scenes that it did not learn from: where it finds what is named, and which caption it finds for a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from policy.aligning.alignment import Alignment
from policy.aligning.captions import caption, same_caption, tell
from policy.aligning.metrics import alignment, modality_gap
from policy.probing.named import Named
from policy.shapes import Tokens, cell_centres

BATCH = 64
NEAR_PX = 8.0  # a patch


@torch.no_grad()
def places(model: Alignment, scenes: Named, patches: Float[Tensor, "n c p d"], rows: np.ndarray, unseen: bool = False) -> list[dict[str, Any]]:
    """A row for each camera and each thing that sentences name: how far from its centre it is found (px) and how often it is nearer than any other.

    Only things that the camera sees are asked for; `told_hidden`: how often a thing that it does not see is told to be hidden, `told_seen` the other way round.
    """
    centres = cell_centres(model.grid).to(next(model.parameters()).device)
    found: list[dict[str, Any]] = []
    for camera, name in enumerate(scenes.index["cameras"]):
        rng = np.random.default_rng(0)
        off, named, told, there = ([[], []] for _ in range(4))
        for some in np.array_split(rows, max(1, len(rows) // BATCH)):
            said = tell(scenes, some, rng, unseen)
            words = model.language(torch.stack([model.language.code(sentence) for sentence in said.sentences]).to(centres.device))
            tokens = Tokens(patches[some[said.picture], camera].float().to(centres.device), centres)
            pointed = model.join.point(tokens, words)
            assert pointed is not None
            where = ((pointed.keypoints + 1) / 2 * scenes.size).cpu().numpy()  # (r, roles, 2)
            seen = pointed.features.unflatten(1, (2, -1))[..., 0].cpu().numpy()
            for role, things in enumerate((said.meant, said.other)):
                asked = np.flatnonzero(things >= 0)
                row, thing = some[said.picture[asked]], things[asked]
                away = np.linalg.norm(where[asked, role, None] - scenes.places[row, camera] * scenes.size, axis=-1)
                away[~scenes.seen[row, camera]] = np.inf
                visible = scenes.seen[row, camera, thing]
                off[role] += away[np.arange(len(asked)), thing][visible].tolist()
                named[role] += (away.argmin(1) == thing)[visible].tolist()
                told[role] += (seen[asked, role] > 0.5).tolist()
                there[role] += visible.tolist()
        for role, which in enumerate(("meant", "other")):
            if off[role]:
                known, visible = np.array(told[role]), np.array(there[role])
                found.append(
                    {"camera": name, "thing": which, "asked": len(off[role]), "named": float(np.mean(named[role]))}
                    | {"median_px": float(np.median(off[role])), "p90_px": float(np.percentile(off[role], 90))}
                    | {"within_8_px": float(np.mean(np.array(off[role]) < NEAR_PX)), "told_seen": float(known[visible].mean())}
                    | {"told_hidden": float((~known[~visible]).mean()) if (~visible).any() else None}
                )
    return found


@torch.no_grad()
def embeddings(model: Alignment, scenes: Named, patches: Float[Tensor, "n c p d"], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Of pictures from the first camera and of their captions, (r, e) each; and the captions."""
    captions = [caption(scenes, row) for row in rows]
    codes = torch.stack([model.pictures.language.code(text) for text in captions])
    device = next(model.parameters()).device
    return model.pictures.picture(patches[rows, 0].float().to(device)).cpu().numpy(), model.pictures.caption(codes.to(device)).cpu().numpy(), captions


def retrieval(model: Alignment, scenes: Named, patches: Float[Tensor, "n c p d"], rows: np.ndarray, among: int) -> dict[str, float]:
    """B8 among so many scenes, the mean over as many such groups as there are, and B9 of all of them."""
    pictures, texts, captions = embeddings(model, scenes, patches, rows)
    same = same_caption(captions)
    groups = [slice(i, i + among) for i in range(0, len(rows) - among + 1, among)]
    each = [alignment(pictures[group], texts[group], same[group, group]) for group in groups]
    return {key: float(np.mean([one[key] for one in each])) for key in each[0]} | {"groups": float(len(groups))} | modality_gap(pictures, texts)
