"""The probe of colours and shapes: it tells what is in the tokens at a thing's place, and not what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy.probing.named import read_named
from policy.probing.names import names_probe, read_things
from tests.policy.aligning_scenes import draw_scenes
from whatwhere.errors import BadInput


def test_it_tells_what_the_tokens_hold_at_the_things_place(tmp_path: Path) -> None:
    data = read_things(draw_scenes(tmp_path / "pick", 80, 40))
    rng = np.random.default_rng(0)
    knows_colours = rng.normal(size=(120, 144, 8)).astype(np.float32)
    knows_both = knows_colours.copy()
    for scene in range(120):
        for thing, (x, y) in enumerate(data.places[scene]):
            cell = int(y * 12) * 12 + int(x * 12)
            knows_colours[scene, cell, data.colours[scene, thing]] += 30
            knows_both[scene, cell, [data.colours[scene, thing], 4 + data.shapes[scene, thing]]] += 30
    features = {"P": {"patches": (knows_colours,)}, "fused": {"patches": (knows_both,)}}
    p, fused = names_probe(features, data)
    assert p["colour"] > 0.95 and p["shape"] < 0.75 and p["both"] <= p["shape"]
    assert fused["colour"] > 0.95 and fused["shape"] > 0.9
    assert 0.5 <= p["shape_commonest"] < 0.65 and p["colour_commonest"] == pytest.approx(1 / 3) and p["things"] == 120


def test_scenes_without_names_are_refused(tmp_path: Path) -> None:
    folder = draw_scenes(tmp_path / "pick")
    labels = dict(np.load(folder / "labels.npz"))
    np.savez(folder / "labels.npz", **{name: values for name, values in labels.items() if name != "objects_visible"})
    with pytest.raises(BadInput, match=r"labels\.npz"):
        read_named(folder)
    np.savez(folder / "labels.npz", **labels | {"colours": labels["colours"] + 3})
    with pytest.raises(BadInput, match="past the names"):
        read_named(folder)
    (folder / "index.json").write_text('{"kind": "scenes", "scenes": 24, "cameras": ["agentview"]}')
    with pytest.raises(BadInput, match="colours"):
        read_named(folder)
