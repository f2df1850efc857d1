"""Demonstrations of which something is damaged, missing or twice there: none is accepted in silence, in whatever format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos.episodes import episode_paths, read_episode, write_episode
from envs.demos.formats import lerobot_write
from tests.envs.demos.demo_files import made_up, write_folder, write_robomimic
from tests.envs.demos.test_convert import read, run
from whatwhere.errors import BadInput

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

# ---- robomimic


def put(name: str, value: Any) -> Callable[[Any], None]:
    def change(demo: Any) -> None:
        if name in demo:
            del demo[name]
        if value is not None:
            demo[name] = value

    return change


def with_nan(name: str) -> Callable[[Any], None]:
    return lambda demo: demo[name].__setitem__((3, 0) if demo[name].ndim == 2 else 3, np.nan)


ROBOMIMIC: dict[str, tuple[Callable[[Any], None], str]] = {
    "NaN in states": (with_nan("states"), "states: NaN or infinite at step 3"),
    "NaN in actions": (with_nan("actions"), "actions: NaN or infinite at step 3"),
    "NaN in rewards": (with_nan("rewards"), "rewards: NaN or infinite at step 3"),
    "NaN in an observation": (with_nan("obs/robot0_eef_quat"), "obs/robot0_eef_quat: NaN or infinite at step 3"),
    "infinite state": (lambda demo: demo["states"].__setitem__((2, 1), np.inf), "states: NaN or infinite at step 2"),
    "no rewards": (put("rewards", None), "rewards: missing"),
    "no dones": (put("dones", None), "dones: missing"),
    "rewards of text": (put("rewards", ["0"] * 7 + ["1"]), "rewards: needs numbers, found object"),
    "dones of text": (put("dones", ["False"] * 8), "dones: needs numbers, found object"),
    "dones of other numbers": (put("dones", np.arange(8)), "dones: needs 0 or 1, found 2"),
    "rewards of fewer steps": (put("rewards", np.ones(5)), "rewards: needs 8 steps, found 5"),
    "rewards of two axes": (put("rewards", np.ones((8, 2))), "rewards: needs 1 axes"),
    "a language of numbers": (lambda demo: demo.attrs.__setitem__("ep_meta", '{"lang": 5}'), "ep_meta of /data/demo_8: lang: needs a text"),
}


@pytest.mark.parametrize("kind", ROBOMIMIC)
def test_robomimic(tmp_path: Path, kind: str) -> None:
    change, message = ROBOMIMIC[kind]
    path = write_robomimic(tmp_path / "lift.hdf5", demos=1)
    with h5py.File(path, "r+") as file:
        change(file["data/demo_8"])
    with pytest.raises(BadInput, match=message) as refusal:
        read(path)
    assert str(path) in str(refusal.value) and "demo_8" in str(refusal.value) and "\n" not in str(refusal.value)


def test_two_robomimic_demonstrations_of_one_number(tmp_path: Path) -> None:
    path = write_robomimic(tmp_path / "lift.hdf5", demos=1)
    with h5py.File(path, "r+") as file:
        file.copy("data/demo_8", "data/demo_08")
    with pytest.raises(BadInput, match="demo_08 and demo_8 have the same number"):
        read(path)


# ---- LeRobot


def dataset(folder: Path, ours: bool = False) -> Path:
    there = run(write_folder(folder / "demos", 3), folder / "there", "lerobot")
    if not ours:
        for name in ("whatwhere.jsonl", "whatwhere.json"):
            (there / "meta" / name).unlink()
    return there


def column(there: Path, name: str, change: Callable[[list[Any]], list[Any]], kind: Any = None, place: str = "data") -> None:
    """Another column in the first table of `place`."""
    (path, *_) = sorted((there / place).rglob("*.parquet"))
    table = pq.read_table(path)
    at = table.schema.get_field_index(name)
    values = pa.array(change(table.column(name).to_pylist()), kind or table.schema.field(name).type)
    pq.write_table(table.set_column(at, pa.field(name, values.type), values), path)


def nan_at(step: int) -> Callable[[list[Any]], list[Any]]:
    def change(values: list[Any]) -> list[Any]:
        values[step] = [float("nan"), *values[step][1:]] if isinstance(values[step], list) else float("nan")
        return values

    return change


def edit_info(there: Path, **changes: Any) -> None:
    path = there / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def texts(values: list[Any]) -> list[Any]:
    return [str(value) for value in values]


def spans(there: Path, end: str, rows: list[int]) -> None:
    column(there, f"dataset_{end}_index", lambda values: rows, place="meta/episodes")


LEROBOT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "NaN in state": (lambda d: column(d, "observation.state", nan_at(4)), "episode 0: observation.state: NaN or infinite at step 4"),
    "NaN in action": (lambda d: column(d, "action", nan_at(4)), "episode 0: action: NaN or infinite at step 4"),
    "NaN in reward": (lambda d: (drop(d, "next.success"), column(d, "next.reward", nan_at(4))), "next.reward: needs a finite number"),
    "success as text": (lambda d: column(d, "next.success", texts, pa.string()), "next.success: needs true or false in every step, found text"),
    "success as a number": (lambda d: column(d, "next.success", lambda v: [2 * x for x in v], pa.int64()), "next.success: needs true or false"),
    "reward as text": (
        lambda d: (drop(d, "next.success"), column(d, "next.reward", texts, pa.string())),
        "next.reward: needs a finite number in every step, found text",
    ),
    "one number twice": (lambda d: column(d, "episode_index", lambda v: [0, 1, 1], place="meta/episodes"), "episode 1: there twice"),
    "steps of two": (lambda d: (spans(d, "from", [0, 0, 21]), spans(d, "to", [10, 11, 33])), "episodes 0 and 1 have steps in common"),
    "a lost table": (lambda d: edit_info(d, total_episodes=4), "total_episodes=4, but meta/episodes has 3"),
    "lost steps": (lambda d: edit_info(d, total_frames=100), "total_frames=100, but meta/episodes has 33"),
    "steps in another order": (lambda d: column(d, "frame_index", lambda v: [1, 0, *v[2:]]), "frame_index: needs 0, 1, 2"),
    "other sizes": (lambda d: column(d, "action", lambda v: [x[:6] for x in v], pa.list_(pa.float32())), "action: 6 numbers a step, meta/info.json says 7"),
}  # fmt: skip


def drop(there: Path, key: str) -> None:
    info = json.loads((there / "meta/info.json").read_text())
    del info["features"][key]
    edit_info(there, features=info["features"])


@pytest.mark.parametrize("kind", LEROBOT)
def test_lerobot(tmp_path: Path, kind: str) -> None:
    change, message = LEROBOT[kind]
    there = dataset(tmp_path)
    assert len(read(there)) == 3
    change(there)
    with pytest.raises(BadInput, match=message) as refusal:
        read(there)
    assert str(there) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(("field", "value"), [("success", "yes"), ("success", 1), ("instruction", None), ("digests", []), ("has_executed_actions", "no")])
def test_our_own_rows_in_a_lerobot_dataset(tmp_path: Path, field: str, value: Any) -> None:
    """Sealed anew, so that it is not the seal that is found out."""
    there = dataset(tmp_path, ours=True)
    path = there / lerobot_write.OWN_ROWS
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["sha256"]
        row[field] = value
        row["sha256"] = lerobot_write.row_digest(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput, match=f"{field}: needs"):
        read(there)


# ---- our own folder


def test_two_episodes_of_one_number(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "demos", 2)
    shutil.copy(folder / "episode_1.hdf5", folder / "episode_01.hdf5")
    with pytest.raises(BadInput, match=r"episode_01.hdf5 and episode_1.hdf5 have the same number"):
        episode_paths(folder)


@pytest.mark.parametrize("name", ["actions", "states", "proprio", "executed_actions"])
def test_numbers_that_are_none(tmp_path: Path, name: str) -> None:
    """Neither written nor, sealed by somebody else, read."""
    episode = made_up()
    getattr(episode, name)[3, 0] = np.nan
    with pytest.raises(BadInput, match="NaN or infinite at step 3"):
        write_episode(tmp_path / "episode_0.hdf5", episode)


@pytest.mark.parametrize(
    ("name", "value"), [("rewards", None), ("dones", None), ("dones", np.zeros(12)), ("rewards", ["0"] * 12), ("success", "yes"), ("success", 1)]
)
def test_our_own_files_sealed_anew(tmp_path: Path, name: str, value: Any) -> None:
    from envs.demos.layout import digest_of, seal_of

    path = tmp_path / "episode_0.hdf5"
    write_episode(path, made_up())
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        demo = file["data/demo_0"]
        if name == "success":
            demo.attrs["whatwhere"] = json.dumps(json.loads(demo.attrs["whatwhere"]) | {"success": value})
        else:
            del demo[name]
            if value is not None:
                demo[name] = value
                demo[name].attrs["sha256"] = digest_of(value) if isinstance(value, np.ndarray) else "0" * 64
        texts = {key: demo.attrs[key] for key in ("model_file", "ep_meta", "whatwhere")} | {"env_args": file["data"].attrs["env_args"]}
        names = ["actions", "states", "rewards", "dones", "obs/proprio", "obs/agentview_image", "obs/robot0_eye_in_hand_image", "executed_actions"]
        demo.attrs["sha256"] = seal_of(texts, {key: demo[key].attrs["sha256"] for key in names if key in demo})
    with pytest.raises(BadInput, match=rf"{name}: (missing|needs)|success, instruction: missing or of a wrong type"):
        read_episode(path)
