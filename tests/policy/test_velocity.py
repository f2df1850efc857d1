"""The velocity probe: what it is asked with, that it finds a velocity that is there, and that it finds none where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy.probing import measure, velocity
from policy.probing.at_places import around
from policy.probing.measure import Settings
from policy.probing.quick import QuickProbe
from policy.probing.tokens import pixel_features
from policy.probing.velocity import read_drifts, velocity_probe
from policy.streams import TwoStreamEncoder
from whatwhere.errors import BadInput
from whatwhere.settings import parse

SIDE, OBJECTS = 96, 3


def draw(folder: Path, scenes: int = 60, held_out: int = 30, **changes: Any) -> Path:
    """Scenes of three dots, one of which moves; what `envs.demos.scenes moving=true` writes."""
    rng, count = np.random.default_rng(0), scenes + held_out
    frames = np.full((count, 1, 2, SIDE, SIDE, 3), 90, np.uint8)
    world, places = np.zeros((count, 2, OBJECTS, 3), np.float32), np.zeros((count, 1, OBJECTS, 2), np.float32)
    moving = rng.integers(0, OBJECTS, count).astype(np.int32)
    for scene in range(count):
        corners = rng.permutation([(0.2, 0.2), (0.2, 0.7), (0.7, 0.2), (0.7, 0.7)])[:OBJECTS] + rng.uniform(0, 0.1, (OBJECTS, 2))
        way = rng.uniform(-0.024, 0.024, 2)  # metres in 0.2 s; the table is one metre, 96 pixels wide
        for moment in (0, 1):
            for thing, (x, y) in enumerate(corners + moment * way * (np.arange(OBJECTS) == moving[scene])[:, None]):
                world[scene, moment, thing, :2] = x, y
                rows, columns = np.mgrid[:SIDE, :SIDE]
                frames[scene, 0, moment, (rows / SIDE - y) ** 2 + (columns / SIDE - x) ** 2 < 0.02**2] = 255
        places[scene, 0] = world[scene, 1, :, :2]
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", frames)
    labels = {"objects_pos_world": world, "objects_place": places, "visible_pixels": np.full((count, 1, OBJECTS), 100, np.int32), "motion": moving}
    np.savez(folder / "labels.npz", **labels | changes)
    index = {"kind": "scenes", "scenes": scenes, "held_out": held_out, "cameras": ["agentview"], "moving": True, "seconds": 0.2}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("drift") / "pick_at_xy", 300, 100)


def test_labels_are_in_cm_a_second_of_the_later_picture(scenes: Path) -> None:
    data = read_drifts(scenes, 200, 50)
    assert len(data) == 250 and data.num_fit == 200 and data.size == SIDE
    standing = np.arange(OBJECTS) != data.moving[:, None]
    assert np.abs(data.cm_s[standing]).max() == 0 and 8 < np.abs(data.cm_s).max() <= 12
    scene, thing = 0, int(data.moving[0])
    x, y = (data.places[scene, thing] * SIDE).astype(int)
    assert data.frames[scene, 1, y, x].tolist() == [255] * 3


def test_velocities_are_probed_while_streams_are_trained(scenes: Path) -> None:
    """`policy.pretrain probe=` of scenes in which something drifts."""
    torch.manual_seed(0)
    figures, wrong = QuickProbe(scenes, 200, 50)(TwoStreamEncoder(size=SIDE, dim=64, depth=1, heads=2))
    assert set(figures) == {f"velocity_{name}_{stream}" for name in ("r2", "within_20_deg", "named") for stream in ("P", "M", "fused")}
    assert all(np.isfinite(value) for value in figures.values()) and not wrong
    assert figures["velocity_named_M"] > figures["velocity_named_P"], "no single picture tells what moves"


def test_patches_around_an_object(scenes: Path) -> None:
    data = read_drifts(scenes, 200, 50)
    grid = np.arange(144, dtype=np.float16).reshape(1, 144, 1).repeat(len(data), axis=0)
    found = around(grid, data.places, np.array([[0, 0], [3, 2]]))
    assert found.shape == (2, 9, 1)
    for number, (scene, thing) in enumerate(((0, 0), (3, 2))):
        x, y = data.places[scene, thing] * 12
        assert found[number, 4, 0] in {row * 12 + column for row in (int(y), round(float(y - 0.5))) for column in (int(x), round(float(x - 0.5)))}
    data.places[1, 0] = 0.001, 0.999  # at the edge the window stays in the picture
    assert around(grid, data.places, np.array([[1, 0]]))[0, :, 0].tolist() == [108, 109, 110, 120, 121, 122, 132, 133, 134]


def test_a_velocity_that_is_there_is_found(scenes: Path) -> None:
    """Features that hold it (as the M stream's should), and pixels, of which P alone knows nothing."""
    data = read_drifts(scenes, 300, 100)
    rng = np.random.default_rng(1)
    told = np.zeros((len(data), 144, 4), np.float32)
    for scene in range(len(data)):
        for thing in range(OBJECTS):
            x, y = np.clip((data.places[scene, thing] * 12).astype(int), 0, 11)
            told[scene, y * 12 + x, :2] = data.cm_s[scene, thing]
    told += 0.05 * rng.standard_normal(told.shape).astype(np.float32)
    (known,) = velocity_probe({"M": {"patches": (told,)}}, data)
    assert known["r2"] > 0.9 and known["within_20_deg"] > 0.95 and known["direction_deg"] < 8 and known["speed_error"] < 0.15 and known["named"] > 0.98
    pixels = {row["streams"]: row for row in velocity_probe(pixel_features(data.frames, "past"), data)}
    assert list(pixels) == ["P", "M", "fused"]
    assert pixels["P"]["r2"] < 0.1 and pixels["P"]["named"] < 0.6 and pixels["M"]["r2"] > pixels["P"]["r2"] + 0.2


def test_the_command_measures_it(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["checkpoint=random", f"scenes={scenes.parent}", "train=60", "held_out=30", "baselines=false", f"out={tmp_path / 'out'}"]
    words.append(f"cache={tmp_path / 'cache'}")
    told = measure.measure(parse("policy.conf", "probe", Settings, words))
    assert [row["streams"] for row in told["velocity"]] == ["P", "M", "fused"] and told["xy"] == []
    assert "velocity, pick_at_xy, agentview" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["probe.json", "probe.txt", "velocity.csv"]
    again = measure.measure(parse("policy.conf", "probe", Settings, words))
    assert again["velocity"] == told["velocity"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"motion": np.full(90, 3, np.int32)}, "moving=true draws"),
        ({"objects_place": np.zeros((90, 2, OBJECTS, 2), np.float32)}, "moving=true draws"),
        ({"objects_pos_world": np.full((90, 2, OBJECTS, 3), np.nan, np.float32)}, "moving=true draws"),
        ({"visible_pixels": np.zeros((90, 1, OBJECTS), np.int32)}, "0 and 0 objects are seen"),
        ({"objects_pos_world": np.zeros((90, 2, OBJECTS, 3), np.float32)}, "nothing that is seen moves"),
    ],
)
def test_scenes_that_cannot_be_measured_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = draw(tmp_path / "pick_at_xy", **changes)

    def probe() -> None:
        data = read_drifts(folder, 60, 30)
        velocity.velocity_probe(pixel_features(data.frames, "past"), data)

    with pytest.raises(BadInput, match=message):
        probe()


def test_more_than_there_are_is_refused(scenes: Path) -> None:
    with pytest.raises(BadInput, match=r"train=301: .* has 300 such scenes"):
        read_drifts(scenes, 301, 10)
    with pytest.raises(BadInput, match="camera=top"):
        read_drifts(scenes, 10, 10, "top")
