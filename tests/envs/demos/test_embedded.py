"""Models in the files of others: only where asked for, and then a scene and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos.embedded import checked
from envs.demos.formats import Reading, open_source
from tests.envs.demos.demo_files import write_robomimic
from whatwhere.errors import BadInput

MESH = "/home/somebody/robosuite/models/assets/robots/panda/meshes/link0.stl"


def scene(asset: str = "", body: str = "", top: str = "") -> str:
    return f'<mujoco><compiler meshdir="/etc"/>{top}<asset>{asset}</asset><worldbody><light pos="0 0 3"/>{body}</worldbody></mujoco>'


BODY = '<body name="box"><freejoint/><geom type="box" size=".1 .1 .1" group="1" rgba="1 0 0 1"/></body><camera name="agentview" pos="0 0 2"/>'
HOSTILE = {
    "include": (scene(top='<include file="/etc/passwd"/>'), "<include>"),
    "include within": (scene(body='<include file="x.xml"/>'), "<include>"),
    "extension": (scene(top='<extension><plugin plugin="x"/></extension>'), "<extension>"),
    "plugin": (scene(asset='<mesh name="a"><plugin plugin="x"/></mesh>'), "<plugin>"),
    "plugin attribute": (scene(body='<geom type="sdf" plugin="x"/>'), "uses a plugin"),
    "attached model": (scene(asset='<model file="/etc/passwd"/>'), "<model>"),
    "replicate": (scene(body='<replicate count="1000000000"><geom size="1"/></replicate>'), "<replicate>"),
    "composite": (scene(body='<composite count="1000 1000 1"/>'), "<composite>"),
    "height field": (scene(asset='<hfield name="a" nrow="100000" ncol="100000" size="1 1 1 1"/>'), "<hfield>"),
    "mesh elsewhere": (scene(asset='<mesh file="/etc/ssl/cert.stl"/>'), "not in robosuite's asset folder"),
    "mesh outside": (scene(asset='<mesh file="robosuite/models/assets/../../../../x.stl"/>'), "not in robosuite's asset folder"),
    "mesh that is none": (scene(asset='<mesh file="robosuite/models/assets/no_such.stl"/>'), "not in robosuite's asset folder"),
    "no mesh": (scene(asset='<mesh file="robosuite/models/assets/robots/panda/robot.xml"/>'), "not in robosuite's asset folder"),
    "texture elsewhere": (scene(asset='<texture type="cube" fileright="/tmp/a.png"/>'), "not in robosuite's asset folder"),
    "large texture": (scene(asset='<texture name="a" type="2d" builtin="flat" width="1000000" height="10"/>'), "at most 4096"),
    "thousands of textures": (scene(asset='<texture type="2d" builtin="flat" width="8" height="8"/>' * 3000), "3000 times <texture>; at most 64"),
    "textures of many pixels": (scene(asset='<texture type="2d" builtin="flat" width="4096" height="4096"/>' * 5), "83886080 pixels; at most 67108864"),
    "thousands of meshes": (scene(asset=f'<mesh file="{MESH}"/>' * 600), "600 times <mesh>; at most 512"),
    "large meshes": (scene(asset='<mesh file="robosuite/models/assets/robots/spot/meshes/body_1.obj"/>' * 50), "meshes and pictures have"),
    "millions of bodies": (scene(body="<site/>" * 1_000_000), "more than 20000 elements"),
    "many joints": (scene(body='<body><freejoint/><geom size="1"/></body>' * 2100), "2100 times <freejoint>"),
    "key frames": (scene(top="<keyframe>" + "<key/>" * 17 + "</keyframe>"), "17 times <key>"),
    "numbers by the billion": (scene(top='<custom><numeric name="a" size="2000000000"/></custom>'), "numeric of size=2000000000; at most 1000"),
    "long histories": (scene(top='<sensor><gyro site="a" nsample="2000000000"/></sensor>'), "gyro of nsample=2000000000; at most 100"),
    "a made mesh": (scene(asset='<mesh name="a" builtin="supersphere" params="100000 1 1"/>'), "made by the program"),
    "a long list": (scene(asset=f'<mesh name="a" vertex="{"0 " * 60_000}"/>'), "120000 characters of vertex"),
    "entities": ('<!DOCTYPE a [<!ENTITY b "c">]>' + scene(), "document type or entities"),
    "deep": (scene(body="<body>" * 200 + "</body>" * 200), "nested deeper"),
    "not XML": ("<mujoco>", "is not XML"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_models_are_refused(kind: str) -> None:
    model, message = HOSTILE[kind]
    with pytest.raises(BadInput, match=message) as refusal:
        checked(model, "a.hdf5: demo_0: model_file")
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith("a.hdf5: demo_0")


def test_meshes_come_from_the_installed_robosuite() -> None:
    import importlib.util

    spec = importlib.util.find_spec("robosuite")
    assert spec is not None and spec.origin is not None
    text = checked(scene(asset=f'<mesh name="a" file="{MESH}"/>'), "x")
    assert str((Path(spec.origin).parent / "models/assets/robots/panda/meshes/link0.stl").resolve()) in text
    assert "meshdir" not in text and "somebody" not in text


def test_unasked_no_model_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> str:
        raise AssertionError("the model was looked at")

    monkeypatch.setattr("envs.demos.embedded.checked", never)
    for pictures in (True, False):
        path = write_robomimic(tmp_path / f"{pictures}.hdf5", model=HOSTILE["include"][0], pictures=pictures)
        with open_source(path) as source:
            if pictures:
                assert source.episode(0).attrs["model_file"] == HOSTILE["include"][0]  # carried as a text
            else:
                with pytest.raises(BadInput, match="holds no pictures"):
                    source.episode(0)


def test_asked_for_states_are_drawn(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "low_dim.hdf5", demos=1, steps=3, pictures=False, model=scene(body=BODY), states=14)
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        states = np.zeros((3, 14))
        states[:, 1], states[:, 3], states[:, 4] = [0, 0.3, 0.3], 0.1, 1  # x, z, w of the box
        file["data/demo_8/states"][:] = states
    with open_source(path, Reading(draw=("agentview",), size=32)) as source:
        episode = source.episode(0)
    assert episode.frames is not None and episode.frames.shape == (3, 1, 32, 32, 3)
    red = [np.argwhere((frame[0, ..., 0] > 60) & (frame[0, ..., 1] < 40)).mean(0) for frame in episode.frames]
    assert red[1][1] > red[0][1] + 3  # it moved to the right
    np.testing.assert_array_equal(episode.frames[1], episode.frames[2])
    json.dumps(episode.attrs)
    for reading, message in ((Reading(draw=("side",)), "camera=side: unknown"), (Reading(draw=("agentview",)), "states have 9 numbers")):
        other = write_robomimic(tmp_path / "other.hdf5", demos=1, pictures=False, model=scene(body=BODY), states=14 if "side" in (reading.draw or ()) else 9)
        with open_source(other, reading) as source, pytest.raises(BadInput, match=message):
            source.episode(0)
