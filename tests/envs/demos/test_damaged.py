"""More than 200 damaged and hostile HDF5 files: each is refused in one line, in little memory, and no other file is opened."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from envs.demos.episodes import write_episode
from envs.demos.formats import open_source
from tests.envs.demos.demo_files import made_up, write_robomimic

ROOT = Path(__file__).resolve().parents[3]
Change = Callable[[Any], Any]
MEMORY_MIB = 200  # of the process that reads them all, numpy and h5py included
READER = """
import json, sys
from pathlib import Path
from envs.demos.formats import open_source
from whatwhere.errors import BadInput
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        with open_source(path) as source:
            for index in range(len(source)):
                source.episode(index)
        print(json.dumps([path.name, None]))
    except BadInput as refusal:
        print(json.dumps([path.name, str(refusal)]))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))  # ru_maxrss would count the parent's too
print(json.dumps(["peak", int(peak.split()[1]) // 1024]))
"""
DATASETS = ("actions", "executed_actions", "states", "rewards", "dones", "obs/proprio", "obs/agentview_image")
FOREIGN = ("actions", "states", "rewards", "obs/robot0_eef_pos", "obs/agentview_image")


def replaced(name: str, **dataset: Any) -> Change:
    """Another dataset under the same name, with the digest of the first."""

    def change(demo: Any) -> None:
        digest = demo[name].attrs.get("sha256", "")
        del demo[name]
        demo.create_dataset(name, **dataset).attrs["sha256"] = digest

    return change


def linked(name: str, link: Any) -> Change:
    def change(demo: Any) -> None:
        del demo[name]
        demo[name] = link

    return change


def virtual(name: str, foreign: Path) -> Change:
    def change(demo: Any) -> None:
        shape, kind = demo[name].shape, demo[name].dtype
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(foreign, "x", shape)
        del demo[name]
        demo.create_virtual_dataset(name, layout).attrs["sha256"] = ""

    return change


def attribute(name: str, value: Any) -> Change:
    return lambda demo: demo.attrs.__setitem__(name, value)


def kinds(names: tuple[str, ...]) -> Iterator[tuple[str, Change]]:
    """Wrong types and shapes."""
    for name in names:
        steps = 12
        yield f"text {name}", replaced(name, data=["a"] * steps)
        yield f"compound {name}", replaced(name, data=np.zeros(steps, [("a", "f8"), ("b", "i4")]))
        yield f"scalar {name}", replaced(name, data=1.0)
        yield f"empty {name}", replaced(name, shape=(0, 7), dtype="f4")
        yield f"axes {name}", replaced(name, data=np.zeros((steps, 1, 1, 1, 1), "f4"))
        yield f"references {name}", replaced(name, shape=(steps,), dtype=h5py.ref_dtype)
        yield f"group {name}", lambda demo, name=name: (demo.__delitem__(name), demo.create_group(name))


def links(names: tuple[str, ...], foreign: Path) -> Iterator[tuple[str, Change]]:
    for name in names:
        yield f"soft link {name}", linked(name, h5py.SoftLink("/data"))
        yield f"external link {name}", linked(name, h5py.ExternalLink(str(foreign), "/x"))
        yield f"virtual {name}", virtual(name, foreign)
        yield f"external storage {name}", replaced(name, shape=(12, 7), dtype="f4", external=[(str(foreign), 0, 12 * 7 * 4)])


def bombs(names: tuple[str, ...]) -> Iterator[tuple[str, Change]]:
    packed: dict[str, Any] = {"compression": "gzip", "dtype": "u1"}
    for name in names:
        yield f"1e12 numbers {name}", replaced(name, shape=(10**12,), chunks=(1 << 20,), **packed)
        yield f"1e12 steps {name}", replaced(name, shape=(10**12, 7), chunks=(1 << 17, 7), compression="gzip", dtype="f4")
        yield f"large chunk {name}", replaced(name, shape=(12, 7), maxshape=(None, None), chunks=(1 << 24, 50), compression="gzip", dtype="f4")
    zeros = np.zeros((12, 2800, 2800, 3), np.uint8)  # 282 MB in 275 kB
    yield "zeros", replaced("obs/agentview_image", data=zeros, chunks=(1, 2800, 2800, 3), compression="gzip", compression_opts=9)
    yield "many steps", attribute("num_samples", 2**62)
    yield "list of steps", attribute("num_samples", np.arange(8000))


def texts() -> Iterator[tuple[str, Change]]:
    """Of our own files: settings that are not."""
    settings: dict[str, Any] = {**made_up().attrs, "success": True, "instruction": ""}
    yield "nested", attribute("whatwhere", "[" * 200_000)
    yield "not JSON", attribute("whatwhere", "{")
    yield "a number", attribute("whatwhere", 5)
    yield "list of texts", attribute("whatwhere", ["a", "b"])
    yield "not UTF-8", attribute("whatwhere", np.bytes_(b"\xff\xfe"))
    yield "long number", attribute("whatwhere", '{"size": ' + "9" * 10_000 + "}")
    yield "many cameras", attribute("whatwhere", json.dumps({**settings, "cameras": [f"camera_{i}" for i in range(100_000)]}))
    yield "camera path", attribute("whatwhere", json.dumps({**settings, "cameras": ["../../x"]}))
    yield "no seal", lambda demo: demo.attrs.__delitem__("sha256")
    yield "other seal", attribute("sha256", "0" * 64)
    yield "no settings", lambda demo: demo.attrs.__delitem__("ep_meta")
    yield "edited number", lambda demo: demo["actions"].__setitem__((0, 0), 0.123)


def flips(whole: bytes, path: Path, rng: np.random.Generator, names: tuple[str, ...], count: int) -> Iterator[bytes]:
    """The file with one bit flipped where values or our settings lie."""
    places: list[int] = []
    with h5py.File(path) as opened:
        demo: Any = next(iter(opened["data"].values()))  # type: ignore[union-attr]
        for name in names:
            offset = demo[name].id.get_offset()
            if offset is not None:
                places += [offset + int(i) for i in rng.integers(demo[name].nbytes, size=count)]
            else:
                chunk = demo[name].id.get_chunk_info(0)
                places += [chunk.byte_offset + int(i) for i in rng.integers(chunk.size, size=count)]
        if "whatwhere" in demo.attrs:
            start, size = whole.index(demo.attrs["whatwhere"].encode()), len(demo.attrs["whatwhere"])
            places += [start + int(i) for i in rng.integers(size, size=count)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield bytes(flipped)


def long_text(whole: bytes) -> bytes:
    """A text of free length that claims 3.7 GB."""
    heap, text = whole.index(b"GCOL\x01\0\0\0"), b"<mujoco/>"
    claim = whole.index(struct.pack("<IQ", len(text), heap))
    return whole[:claim] + struct.pack("<I", 0xE0000000) + whole[claim + 4 :]


def endless_heap(whole: bytes) -> bytes:
    """A heap of texts whose free space has no size: HDF5 2.0 walks it for ever."""
    heap = at = whole.index(b"GCOL\x01\0\0\0")
    at += 16
    while (index := struct.unpack_from("<H", whole, at)[0]) and at < heap + 4096:
        at += 16 + (struct.unpack_from("<Q", whole, at + 8)[0] + 7) // 8 * 8
    assert index == 0
    return whole[: at + 8] + bytes(8) + whole[at + 16 :]


def write_all(folder: Path, foreign: Path) -> None:
    rng = np.random.default_rng(0)
    ours, others = folder.parent / "whole.hdf5", write_robomimic(folder.parent / "others.hdf5", demos=1, steps=12)
    write_episode(ours, made_up(attrs={**made_up().attrs, "cameras": ["agentview"]}, frames=np.asarray(made_up().frames)[:, :1]))
    number = 0
    for whole in (ours, others):
        with open_source(whole) as source:  # so it is the damage that is refused below
            assert len(source.episode(0)) == 12

    def target(what: str, prefix: str) -> Path:
        nonlocal number
        number += 1
        return folder / f"{prefix}{number:03d} {what.replace('/', '-')}.hdf5"

    changes = [*kinds(DATASETS), *links(DATASETS, foreign), *bombs(DATASETS[:2]), *texts()]
    foreign_changes = [*kinds(FOREIGN[::2]), *links(FOREIGN, foreign), *bombs(FOREIGN[:1])]
    for whole, prefix, all_changes in ((ours, "a", changes), (others, "b", foreign_changes)):
        for what, change in all_changes:
            shutil.copy(whole, path := target(what, prefix))
            with h5py.File(path, "r+") as file:
                data: Any = file["data"]
                change(next(iter(data.values())))
        content = whole.read_bytes()
        for size in [0, 1, 100, 2000, len(content) - 1, *(int(size) for size in rng.integers(len(content), size=10))]:
            target("truncated", prefix).write_bytes(content[:size])
        names = DATASETS if prefix == "a" else ("obs/agentview_image",)  # others' numbers have no checksum; their compressed pictures have
        for flipped in flips(content, whole, rng, names, 6):
            target("flipped", prefix).write_bytes(flipped)
    target("text", "c").write_text("not HDF5")
    target("long text", "c").write_bytes(long_text(others.read_bytes()))
    target("heap", "c").write_bytes(endless_heap(others.read_bytes()))
    target("heap", "c").write_bytes(endless_heap(ours.read_bytes()))
    for mask in (np.zeros(3), h5py.ExternalLink(str(foreign), "/x"), h5py.SoftLink("/data")):
        shutil.copy(others, path := target("mask", "c"))
        with h5py.File(path, "r+") as file:
            del file["mask/train"]  # type: ignore[operator]
            file["mask/train"] = mask
    with h5py.File(target("no data", "c"), "w") as file:
        file["x"] = 1
    with h5py.File(target("data elsewhere", "c"), "w") as file:
        file["data"] = h5py.ExternalLink(str(foreign), "/")
    with h5py.File(target("demo in itself", "c"), "w") as file:
        data = file.create_group("data")
        data["demo_0"] = data


class Opened:
    """Tells whether a file of a folder was opened by anybody, HDF5's own C code included (inotify)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.handle = libc.inotify_init1(os.O_NONBLOCK)
        assert self.handle >= 0 and libc.inotify_add_watch(self.handle, os.fsencode(folder), 0x20) >= 0  # IN_OPEN

    def any(self) -> bool:
        try:
            return bool(os.read(self.handle, 4096))
        except BlockingIOError:
            return False


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of damaged files, and one with the foreign file that some of them point to."""
    top = tmp_path_factory.mktemp("damaged")
    folder, elsewhere = top / "files", top / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    with h5py.File(elsewhere / "foreign.hdf5", "w") as file:
        file["x"] = np.zeros((12, 7), "f4")
    write_all(folder, elsewhere / "foreign.hdf5")
    return folder, elsewhere


def test_each_is_refused_in_one_line(damaged: tuple[Path, Path]) -> None:
    folder, elsewhere = damaged
    opened = Opened(elsewhere)
    with h5py.File(elsewhere / "foreign.hdf5"):
        pass
    assert opened.any()  # it would be noticed
    done = subprocess.run([sys.executable, "-c", READER, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True)
    *rows, (_, peak) = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(list(folder.iterdir())) >= 200
    assert [name for name, message in rows if message is None] == []
    assert [name for name, message in rows if "\n" in message or name not in message or len(message) > 500] == []
    assert not opened.any()
    assert peak < MEMORY_MIB
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("which", "command"),
    [("a* external link actions", "inspect demos={}"), ("a* flipped", "convert src={0} out={0}.out to=folder"), ("c* heap", "inspect demos={}")],
)
def test_commands_exit_2(damaged: tuple[Path, Path], tmp_path: Path, which: str, command: str) -> None:
    (path, *_) = sorted(damaged[0].glob(f"{which}.hdf5"))
    shutil.copy(path, copy := tmp_path / "episode_0.hdf5")
    name, *arguments = command.format(copy).split()
    done = subprocess.run([sys.executable, "-m", f"envs.demos.{name}", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "episode_0.hdf5" in done.stderr and "Traceback" not in done.stderr
