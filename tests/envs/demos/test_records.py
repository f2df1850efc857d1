"""The JSON in and beside demonstrations, damaged or hostile: one line with file, field, found and valid, and nothing large is made of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
import pytest

from envs.demos.episodes import read_attrs, read_episode, write_episode
from envs.demos.formats import Reading, Writing, open_source
from envs.demos.formats import lerobot as lerobot_format
from envs.demos.formats import robomimic as robomimic_format
from envs.demos.journal import Journal, read
from envs.demos.layout import digest_of, seal_of
from envs.demos.play import _taken
from envs.demos.starts import Starts
from envs.teleop.file import read_commands
from envs.teleop.take import JOURNAL, unfinished
from tests.envs.demos.demo_files import made_up, write_folder, write_robomimic
from whatwhere.errors import BadInput

NESTED = "[" * 10_000


def refused(call: Callable[[], object], *words: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700 and text.encode() and time.monotonic() - began < 5
    for word in words:
        assert word in text, text


def reseal(path: Path, text: str | None = None, **settings: Any) -> None:
    """Other settings (or that text in their place) in an episode file, and a seal that fits: a seal is no signature."""
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        demo = file["data/demo_0"]
        demo.attrs["whatwhere"] = json.dumps(json.loads(demo.attrs["whatwhere"]) | settings) if text is None else text
        texts = {name: demo.attrs[name] for name in ("model_file", "ep_meta", "whatwhere")} | {"env_args": file["data"].attrs["env_args"]}
        names = ["actions", "states", "rewards", "dones", "obs/proprio", "obs/agentview_image", "obs/robot0_eye_in_hand_image", "executed_actions"]
        demo.attrs["sha256"] = seal_of(texts, {name: demo[name].attrs["sha256"] for name in names})


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"control_hz": 0}, "control_hz: needs a finite number above 0 and at most 1000, found 0"),
    ({"control_hz": float("nan")}, "control_hz: needs a finite number, found nan"),
    ({"control_hz": float("inf")}, "control_hz: needs a finite number, found inf"),
    ({"control_hz": 10**30}, "control_hz: needs a number of at most 64 bits"),
    ({"control_hz": 1e30}, "control_hz: needs a finite number above 0 and at most 1000, found 1e+30"),
    ({"control_hz": {"a": 1}}, "control_hz: needs a finite number above 0 and at most 1000, found {'a': 1}"),
    ({"task": {"a": 1}}, "task: needs a text of 1 to 255 characters, found {'a': 1}"),
    ({"task": "\ud800"}, "task: needs text, found half a character"),
    ({"task": "x" * 5000}, "task: needs a text of 1 to 255 characters, found 'xxx"),
    ({"seed": -1}, "seed: needs a whole number from 0 on or null, found -1"),
    ({"seed": 1.5}, "seed: needs a whole number"),
    ({"size": 10**6}, "size: needs a whole number from 1 to 4096, found 1000000"),
    ({"frame_gap": 0}, "frame_gap: needs a whole number from 1 to 100000, found 0"),
    ({"horizon": True}, "horizon: needs a whole number"),
    ({"cameras": "agentview"}, "cameras: needs a list of 1 to 16, found 'agentview'"),
    ({"cameras": ["../../x"]}, "cameras[0]: needs a name of letters, digits and _, found '../../x'"),
    ({"cameras": ["agentview", ["a"]]}, "cameras[1]: needs a name"),
    ({"cameras": ["agentview", "agentview"]}, "cameras: needs different names"),
    ({"versions": ["1"]}, "versions: needs an object, found ['1']"),
    ({"versions": {"mujoco": {"a": 1}}}, "versions.mujoco: needs a text of 1 to 255 characters or null, found {'a': 1}"),
    ({"masks": {"a": 1}}, "masks: needs a list or null, found {'a': 1}"),
    ({"masks": ["a/b"]}, "masks[0]: needs a name without /, found 'a/b'"),
    ({"masks": [".."]}, "masks[0]: needs a name without /, found '..'"),
    ({"arm_goals": [[0, 1]]}, "arm_goals[0]: needs a list of 9 to 9"),
    ({"arm_goals": 5}, "arm_goals: needs a list or null, found 5"),
    ({"env_kwargs": []}, "env_kwargs: needs an object or null, found []"),
    ({"env_name": ["a"]}, "env_name: needs a text"),
    ({"success": "true"}, "success: needs true or false, found 'true'"),
    ({"instruction": ["a"]}, "instruction: needs a text"),
    ({"position_error_cm": "0.5"}, "position_error_cm: needs a finite number or null, found '0.5'"),
]


@pytest.mark.parametrize(("change", "told"), SETTINGS, ids=[told[:50] for _, told in SETTINGS])
def test_the_settings_of_an_episode(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = write_folder(tmp_path, 1) / "episode_0.hdf5"
    reseal(path)
    assert read_episode(path).success
    reseal(path, **change)
    refused(lambda: read_attrs(path), f"{path}", told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "attribute whatwhere of /data/demo_0: needs an object, found []"),
        (NESTED, "attribute whatwhere of /data/demo_0: nested deeper than 64"),
        ('{"task": "a", "task": "b"}', "attribute whatwhere of /data/demo_0: the key 'task' stands twice"),
        ('{"seed": ' + "9" * 5000 + "}", "attribute whatwhere of /data/demo_0: holds a whole number of thousands of digits"),
    ],
)
def test_settings_that_are_no_settings(text: str, told: str, tmp_path: Path) -> None:
    path = write_folder(tmp_path, 1) / "episode_0.hdf5"
    reseal(path, text)
    refused(lambda: read_episode(path), f"{path}", told)


def test_settings_that_cannot_be_written_are_refused_before_anything_is(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value, told in ((float("nan"), "JSON cannot hold them"), (np.int64(3), "JSON cannot hold them"), (loop, "JSON cannot hold them"), ("\ud800", "text")):
        episode = made_up(attrs={**made_up().attrs, "more": value})
        refused(lambda episode=episode: write_episode(tmp_path / "episode_0.hdf5", episode), told)
    assert not list(tmp_path.iterdir())


ARGS: list[tuple[str, str, str]] = [
    ("data", NESTED, "attribute env_args of /data: nested deeper than 64"),
    ("data", "[]", "attribute env_args of /data: needs an object, found []"),
    ("data", '{"env_name": {"a": 1}}', "env_args of /data: env_name: needs a text of 1 to 255 characters, found {'a': 1}"),
    ("data", '{"env_name": "\\ud800"}', "env_args of /data: env_name: needs text, found half a character"),
    ("data", '{"env_name": "Lift", "env_version": [1]}', "env_args of /data: env_version: needs a text"),
    ("data", '{"env_name": "Lift", "env_kwargs": 5}', "env_args of /data: env_kwargs: needs an object or null, found 5"),
    ("data", '{"env_name": "Lift", "env_kwargs": {"control_freq": NaN}}', "env_args of /data: env_kwargs.control_freq: needs a finite number, found nan"),
    ("data", '{"env_name": "Lift", "env_kwargs": {"control_freq": "20"}}', "control_freq"),
    ("data", '{"env_name": "Lift", "env_kwargs": {"control_freq": 0}}', "control_freq"),
    ("data", '{"env_name": "Lift", "env_kwargs": {"control_freq": 1e30}}', "control_freq"),
    ("data/demo_8", "5", "attribute ep_meta of /data/demo_8: needs an object, found 5"),
    ("data/demo_8", '{"lang": {"a": 1}}', "ep_meta of /data/demo_8: lang: needs a text"),
]


@pytest.mark.parametrize(("place", "text", "told"), ARGS, ids=range(len(ARGS)))
def test_the_texts_of_a_robomimic_file(place: str, text: str, told: str, tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5")
    with h5py.File(path, "r+") as file:
        file[place].attrs["env_args" if place == "data" else "ep_meta"] = text
    with open_source(path) as source:
        refused(lambda: source.episode(0), f"{path}", told)


def test_text_that_is_none(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_8"].attrs.create("model_file", b"\xff\xfe<mujoco/>", dtype=h5py.string_dtype())

    def read() -> None:
        with open_source(path) as source:
            source.episode(0)

    refused(read, f"{path}: damaged")


def test_masks_come_back(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a", 1) / "episode_0.hdf5"
    reseal(path, masks=["20_percent"])
    with open_source(path) as source:
        robomimic_format.write(tmp_path / "b.hdf5", source, Writing(), {})
    with h5py.File(tmp_path / "b.hdf5") as file:
        assert list(file["mask"]) == ["20_percent"]  # type: ignore[arg-type]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    with open_source(write_folder(tmp_path / "folder", 2)) as source:
        lerobot_format.write(tmp_path / "dataset", source, Writing(), {})
    return tmp_path / "dataset"


def info(dataset: Path, **changes: Any) -> None:
    path = dataset / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


INFO: list[tuple[dict[str, Any], str]] = [
    ({"codebase_version": ["v3.0"]}, "info.json: codebase_version: needs v3.0"),
    ({"fps": 0}, "info.json: fps: needs a finite number above 0 and at most 1000, found 0"),
    ({"fps": "20"}, "info.json: fps: needs a finite number"),
    ({"fps": float("nan")}, "info.json: fps: needs a finite number, found nan"),
    ({"fps": 1e30}, "info.json: fps: needs a finite number above 0 and at most 1000, found 1e+30"),
    ({"features": []}, "info.json: features: needs an object, found []"),
    ({"features": {"action": {"dtype": ["float32"], "shape": [7]}}}, "info.json: features.action.dtype: needs a text"),
    ({"features": {"action": {"dtype": "float32", "shape": [10**9]}}}, "info.json: features.action.shape[0]: needs a whole number from 1 to 4096"),
    ({"features": {"action": {"dtype": "float32", "shape": "7"}}}, "info.json: features.action.shape: needs a list of 1 to 4, found '7'"),
    ({"data_path": "../../{chunk_index}"}, "info.json: data_path: needs data/chunk-"),
    ({"video_path": "/etc/passwd"}, "info.json: video_path: needs videos/"),
    ({"robot_type": {"a": 1}}, "info.json: robot_type: needs a text"),
    ({"total_episodes": "2"}, "info.json: total_episodes: needs a whole number"),
]


@pytest.mark.parametrize(("change", "told"), INFO, ids=range(len(INFO)))
def test_the_info_of_a_lerobot_dataset(change: dict[str, Any], told: str, dataset: Path) -> None:
    info(dataset, **change)
    refused(lambda: open_source(dataset), str(dataset), told)


def test_rows_of_a_lerobot_dataset_that_are_ours(dataset: Path) -> None:
    path = dataset / "meta/whatwhere.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for change, told in (
        ({"settings": []}, "line 1: settings: needs an object, found []"),
        ({"settings": rows[0]["settings"] | {"control_hz": 0}}, "line 1: settings.control_hz: needs a finite number above 0"),
        ({"digests": {"actions": 5}}, "line 1: digests.actions: needs a sha256"),
        ({"model": "../../../secret"}, "line 1: model: needs a sha256 (64 hexadecimal digits) or null, found '../../../secret'"),
        ({"success": "yes"}, "line 1: success: needs true or false, found 'yes'"),
    ):
        row = {key: value for key, value in (rows[0] | change).items() if key != "sha256"}
        row["sha256"] = lerobot_format.row_digest(row)
        path.write_text("\n".join(map(json.dumps, [row, rows[1]])) + "\n")
        refused(lambda: open_source(dataset), str(path), told)


def test_a_table_of_episodes_that_asks_for_too_much(dataset: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = dataset / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)

    def changed(**columns: Any) -> None:
        told = table
        for name, values in columns.items():
            told = told.set_column(told.schema.get_field_index(name), name, [values])
        pq.write_table(told, path)
        (dataset / "meta/whatwhere.jsonl").unlink(missing_ok=True)

    for columns, told in (
        ({"length": pa.array([10**15] * 2)}, "episode 0: length: needs a whole number from 1 to 100000"),
        ({"data/file_index": pa.array([10**12] * 2)}, "episode 0: data/file_index: needs a whole number from 0 to 1000000"),
        ({"data/file_index": pa.array(["../../x"] * 2)}, "episode 0: data/file_index: needs a whole number from 0 to 1000000, found '../../x'"),
        ({"episode_index": pa.array([[1]] * 2)}, "episode_index: needs a whole number from 0 on, found [1]"),
        ({"tasks": pa.array(["a", "b"])}, "episode 0: tasks: needs a list of 0 to 1000, found 'a'"),
        ({"dataset_from_index": pa.array([10**17] * 2), "dataset_to_index": pa.array([10**17 + 10] * 2)}, ""),
    ):
        changed(**columns)
        refused(lambda: [source.episode(0) for source in [open_source(dataset)]], str(dataset), told)
    many = pa.table({name: pa.array([table.column(name)[0].as_py()] * 150_000, table.schema.field(name).type) for name in table.schema.names[:7]})
    pq.write_table(many, path, compression="gzip")
    refused(lambda: open_source(dataset), "150000 rows, at most 100000 are read")


def test_a_table_whose_few_bytes_stand_for_many(dataset: Path) -> None:
    """Equal numbers take no room in parquet: 50 million are a few kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = dataset / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    tasks = pa.ListArray.from_arrays([0, 50_000_000, 50_000_001], pa.DictionaryArray.from_arrays(np.zeros(50_000_001, np.int8), ["a"]).cast(pa.string()))
    pq.write_table(table.set_column(table.schema.get_field_index("tasks"), "tasks", [tasks]), path, compression="gzip")
    assert path.stat().st_size < 2 << 20
    refused(lambda: open_source(dataset), "claims 400000008 bytes in")
    rows = pa.table({"episode_index": pa.array(np.zeros(5_000_000, np.int64))})
    pq.write_table(rows, path, compression="gzip")
    refused(lambda: open_source(dataset), "claims 5000000 rows in")


def test_a_video_elsewhere_is_not_opened(dataset: Path) -> None:
    """A feature's name is part of the video's path."""
    told = json.loads((dataset / "meta/info.json").read_text())
    for name in ("../../../secret", "/etc"):
        told["features"][name] = {"dtype": "video", "shape": [16, 16, 3], "names": None}
    (dataset / "meta/info.json").write_text(json.dumps(told))
    (dataset / "meta/whatwhere.jsonl").unlink()
    with open_source(dataset, Reading(proprio=("observation.state",))) as source:
        lerobot: Any = source
        for name in ("../../../secret", "/etc"):
            lerobot.table[0] |= {f"videos/{name}/chunk_index": 0, f"videos/{name}/file_index": 0, f"videos/{name}/from_timestamp": 0.0}
        refused(lambda: lerobot.pictures(0, "../../../secret"), "leads out of that folder")
        for place in (float("inf"), 1e300, float("nan"), -1, "0"):
            lerobot.table[0]["videos//etc/from_timestamp"] = place
            refused(lambda: lerobot.pictures(0, "/etc"), "from_timestamp: needs a finite number from 0 to 10000000")


def test_many_datasets_that_are_small_each_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5", demos=1)
    with h5py.File(path, "r+") as file:
        for number in range(6):
            name = f"data/demo_8/obs/robot{number}_eef_pos"
            if name in file:
                del file[name]
            file[name] = np.zeros((8, 3))
        for name in ("agentview", "robot0_eye_in_hand"):
            del file[f"data/demo_8/obs/{name}_image"]
            zeros = np.zeros((8, 2600, 2600, 3), np.uint8)  # 162 MB in 160 kB: each may be, two may not
            file.create_dataset(f"data/demo_8/obs/{name}_image", data=zeros, chunks=(1, 2600, 2600, 3), compression="gzip", compression_opts=9)
    with open_source(path) as source:
        refused(lambda: source.episode(0), f"{path}", "with it the demonstration unpacks to")


def test_a_size_that_nobody_wants(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5", demos=1)
    for reading in (Reading(size=10**6), Reading(size=10**9), Reading(size=4096 * 2), Reading(size=10**5, draw=("agentview",))):
        with open_source(path, reading) as source:
            refused(lambda source=source: source.episode(0), f"{path}", "of pictures of 8 steps; at most 1073741824 are made of one demonstration")
    with open_source(path, Reading(size=32)) as source:
        frames = source.episode(0).frames
        assert frames is not None and frames.shape == (8, 2, 32, 32, 3)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[1]", "starts.jsonl, line 1: needs an object, found [1]"),
        ('{"episode": "0", "success": true}', "starts.jsonl, line 1: episode: needs a whole number from 0 on, found '0'"),
        ('{"episode": 0, "success": "true"}', "starts.jsonl, line 1: success: needs true or false, found 'true'"),
        ('{"episode": 0}', "starts.jsonl, line 1: success: missing"),
        ('{"episode": 0, "success": false, "init_hash": {"a": 1}}', "starts.jsonl, line 1: init_hash: needs a text"),
        ('{"episode": NaN, "success": false}', "starts.jsonl, line 1: episode: needs a finite number"),
        (NESTED + '"}', "starts.jsonl, line 1: nested deeper than 64"),
    ],
)
def test_the_book_of_starts(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "starts.jsonl").write_text(line + "\n")
    refused(lambda: Starts(tmp_path), str(tmp_path), told)


def test_the_takes_of_play(tmp_path: Path) -> None:
    row = {"take": 0, "task": "pick_at_xy", "motion": "walk", "varied": True, "cameras": ["agentview"], "first_clip": 0, "init_hash": "0" * 16}
    for change, told in (({}, None), ({"take": "0"}, "take: needs"), ({"cameras": 3}, "cameras: needs"), ({"first_clip": -1}, "first_clip: needs")):
        (tmp_path / "takes.jsonl").write_text(json.dumps(row | change) + "\n")
        if told is None:
            assert _taken(tmp_path) == [row]
        else:
            refused(lambda: _taken(tmp_path), "takes.jsonl, line 1: ", told)


class Robot:
    """What of an environment a journal is held against."""

    task, action_dim, simulation = "made_up", 7, object()

    def get_state(self) -> np.ndarray:
        return np.zeros(5)

    def proprio(self) -> np.ndarray:
        return np.zeros(3)


def test_the_journal_of_an_unfinished_episode(tmp_path: Path) -> None:
    row = {"action": [0.0] * 7, "state": [0.0] * 5, "proprio": [0.0] * 3}
    env: Any = Robot()
    for header, rows, told in (
        ({"start": 3}, [row, row], None),
        ({"start": 4}, [{"x": 1}], []),
        ({"start": "3"}, [row], "line 1: start: needs a whole number"),
        ({"start": 3}, [row, row | {"action": "up"}], "line 3: action: needs a list"),
        ({"start": 3}, [row | {"action": [0.0] * 8}], "line 2: action: has 8 numbers, task=made_up has 7"),
        ({"start": 3}, [row | {"state": [{}]}], "line 2: state[0]: needs a finite number"),
        ({"start": 3}, [row | {"arm_goal": [0.0] * 8}], "line 2: arm_goal: the arm of task=made_up moves by its actions alone"),
    ):
        Journal(tmp_path / JOURNAL, header, rows).close()
        if isinstance(told, str):
            refused(lambda: unfinished(tmp_path, 3, env), JOURNAL, told)
        else:
            assert unfinished(tmp_path, 3, env) == (rows if told is None else told)


def test_a_journal_of_more_steps_than_any_episode(tmp_path: Path) -> None:
    line = b'{"start": 3}'
    (tmp_path / JOURNAL).write_bytes((b"%08x %s\n" % (crc32(line), line)) * 100_002)
    refused(lambda: read(tmp_path / JOURNAL), "more than 100000 steps, as no episode has")
    (tmp_path / "commands.jsonl").write_bytes(b'{"move": [0, 0, 0]}\n' * 100_001)
    refused(lambda: read_commands(tmp_path / "commands.jsonl"), "more than 100000 commands, as no episode has")


def test_a_digest_is_of_values() -> None:
    """Of what the tests above reseal."""
    assert digest_of(np.zeros(2)) != digest_of(np.ones(2))
