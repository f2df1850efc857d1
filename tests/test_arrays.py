"""Arrays that grow on disk: the same bytes as numpy's own, and an error that can be caught where the disk is full."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.disks import ROOT, fill
from whatwhere.arrays import ArrayFile
from whatwhere.errors import BadInput


@pytest.mark.parametrize("kind", [np.uint8, np.float16, np.float32])
def test_it_is_what_numpy_writes(tmp_path: Path, kind: type) -> None:
    whole = np.random.default_rng(0).integers(0, 200, (4, 5, 3, 2)).astype(kind)
    with ArrayFile(tmp_path / "a.npy", whole.shape, kind) as array:
        array.write((1, 2), whole[1, 2:4])  # two places
        array.write((1, 0), whole[1, :2])
        array.write((1, 4), whole[1, 4])  # one
        array.write((2,), whole[2:])
        array.write((0,), whole[0].transpose(2, 1, 0).copy().transpose(2, 1, 0))  # not contiguous
        for place, values in (((4,), whole[0]), ((3,), whole[:2]), ((0,), whole[0, 0]), ((-1,), whole[0])):
            with pytest.raises(AssertionError):
                array.write(place, values)
    assert (np.load(tmp_path / "a.npy", allow_pickle=False) == whole).all()
    np.save(tmp_path / "b.npy", whole)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_one_that_was_begun_goes_on(tmp_path: Path) -> None:
    with ArrayFile(tmp_path / "a.npy", (3, 2), np.float32) as array:
        array.fill(np.nan)
    for index in (2, 0):
        with ArrayFile(tmp_path / "a.npy", (3, 2), np.float32, keep=True) as array:
            array.write((index,), np.full(2, index, np.float32))
    assert np.array_equal(np.load(tmp_path / "a.npy"), [[0, 0], [np.nan, np.nan], [2, 2]], equal_nan=True)
    for shape, kind in (((2, 2), np.float32), ((3, 2), np.uint8)):
        with pytest.raises(BadInput, match="not the array that was begun"):
            ArrayFile(tmp_path / "a.npy", shape, kind, keep=True)
    (tmp_path / "a.npy").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match=r"a\.npy: not the array"):
        ArrayFile(tmp_path / "a.npy", (3, 2), np.float32, keep=True)


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(disk: Callable[[int], Path]) -> None:
    folder = disk(256)
    program = "import sys, numpy as np; from whatwhere.arrays import ArrayFile\ntry: ArrayFile(sys.argv[1], (1000, 1000), np.uint8)\n"
    program += "except OSError as error: print(error.strerror, error.filename)"
    done = subprocess.run([sys.executable, "-c", program, str(folder / "a.npy")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"No space left on device {folder / 'a.npy'}\n", done.stderr
    (folder / "a.npy").unlink()
    with ArrayFile(folder / "b.npy", (100, 1000), np.uint8) as array:
        fill(folder)  # the room was taken before
        array.write((0,), np.ones((100, 1000), np.uint8))
    assert np.load(folder / "b.npy").all()


def test_room_that_could_not_be_kept(disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which room is promised and not there, as where it compresses: writing fails as writing does."""
    monkeypatch.setattr("whatwhere.arrays.reserve", lambda handle, size: None)
    folder = disk(64)
    with pytest.raises(OSError, match="No space left") as error, ArrayFile(folder / "a.npy", (100, 1000), np.uint8) as array:
        array.write((0,), np.ones((100, 1000), np.uint8))
    assert error.value.filename == str(folder / "a.npy")
