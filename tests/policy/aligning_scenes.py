"""A folder of scenes as `envs.demos.scenes version=1` draws them, made of plain squares: no simulator, and small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {"red": (220, 20, 20), "green": (20, 180, 40), "blue": (30, 60, 220)}
SHAPES = ("cube", "ball")
SENTENCES = {"pick": ["pick up the {a}", "take the {a}"], "place": ["put the {a} left of the {b}", "left of the {b} put the {a}"]}
UNSEEN = {"pick": ["grab the {a}"], "place": ["set the {a} left of the {b}"]}


def draw_scenes(folder: Path, scenes: int = 24, held_out: int = 8, size: int = 32, seed: int = 0, **index: Any) -> Path:
    """Two cameras alike; three things in each scene, each of its own colour and 6 pixels wide; "balls" lack their corners."""
    rng, n = np.random.default_rng(seed), scenes + held_out
    frames = np.full((n, 2, 2, size, size, 3), 128, np.uint8)
    pixels = np.zeros((n, 2, 2, 3, 2), np.float32)
    colours, shapes = np.zeros((n, 3), np.int32), rng.integers(0, 2, (n, 3)).astype(np.int32)
    for scene in range(n):
        colours[scene] = rng.permutation(3)
        columns = rng.permutation(3) * (size // 3) + rng.integers(0, 3, 3)
        rows = rng.integers(0, size - 6, 3)
        for thing in range(3):
            x, y = columns[thing], rows[thing]
            part = frames[scene, :, :, y : y + 6, x : x + 6]
            part[:] = list(COLOURS.values())[colours[scene, thing]]
            if shapes[scene, thing]:
                part[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] = 128
            pixels[scene, :, :, thing] = x + 3, y + 3
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", frames)
    visible = np.full((n, 2, 3), 32, np.int32)
    target = np.zeros((n, 2, 3), np.float32)
    np.savez(
        folder / "labels.npz",
        colours=colours,
        shapes=shapes,
        objects_pixel=pixels,
        objects_visible=visible,
        target_pos_world=target,
        visible_pixels=visible[..., 0],
    )
    facts = {"kind": "scenes", "scenes": scenes, "cameras": ["agentview", "robot0_eye_in_hand"], "version": 1, "colours": list(COLOURS), "shapes": list(SHAPES)}
    words = {"phrases": ["the {a}", "{a}"], "sentences": SENTENCES, "unseen_sentences": UNSEEN}
    (folder / "index.json").write_text(json.dumps(facts | words | index))
    return folder
