"""Pictures come out as a viewer shows them, whatever their numbers are; what cannot be known is refused, and nothing is passed over without a word."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from policy.pretrain.decode import Unreadable, frames
from policy.pretrain.listing import Item, find_items
from policy.pretrain.video_folder import VideoFolder
from whatwhere.errors import BadInput

GREY = np.linspace(0, 1, 48 * 64).reshape(48, 64)  # black to white
COLOURS = np.stack([GREY, GREY[::-1], np.full_like(GREY, 0.25)], axis=2)
HALF = np.where(np.arange(64) < 32, 0, 255).astype(np.uint8) * np.ones((48, 1), np.uint8)  # transparent on the left
RED = np.full((48, 64, 3), (200, 0, 0), np.uint8)


def read(path: Path, white: float | None = None, notes: list[str] | None = None, fps: float | None = None, short_px: int = 480) -> np.ndarray:
    return np.stack(list(frames(Item(path.name, (path,)), short_px, fps, white, notes)))


def png(path: Path, numbers: np.ndarray, significant: int | None = None) -> Path:
    """A PNG of 16-bit numbers (h, w[, c]), with an sBIT chunk if `significant` is given."""
    h, w, c = numbers.shape if numbers.ndim == 3 else (*numbers.shape, 1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers.reshape(h, w * c))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2, 4: 6}[c], 0, 0, 0))]
    chunks += [] if significant is None else [(b"sBIT", bytes([significant] * c))]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tiff(path: Path, numbers: np.ndarray, **options: Any) -> Path:
    Image.fromarray(numbers).save(path, **options)
    return path


def unsigned(path: Path, numbers: np.ndarray) -> Path:
    """A TIFF of 32-bit numbers without a sign, which Pillow reads but does not write."""
    tags = {256: numbers.shape[1], 257: numbers.shape[0], 258: 32, 259: 1, 262: 1, 273: 8, 277: 1, 278: numbers.shape[0], 279: numbers.nbytes, 339: 1}
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + numbers.nbytes) + numbers.tobytes() + table)
    return path


DEEP: dict[str, tuple[Callable[[Path], Path], np.ndarray]] = {
    "16-bit PNG": (lambda d: png(d / "a.png", GREY * 65535), GREY),
    "16-bit colours": (lambda d: png(d / "a.png", COLOURS * 65535), COLOURS),
    "12 bits, said": (lambda d: png(d / "a.png", GREY * 4095, 12), GREY),
    "12-bit colours, said": (lambda d: png(d / "a.png", COLOURS * 4095, 12), COLOURS),
    "12 bits, said and shifted": (lambda d: png(d / "a.png", np.round(GREY * 4095) * 16 + np.round(GREY * 4095) // 256, 12), GREY),
    "dark, but 16 bits, said": (lambda d: png(d / "a.png", GREY * 3000, 16), GREY * 3000 / 65535),
    "16-bit TIFF": (lambda d: tiff(d / "a.tif", (GREY * 65535).astype(np.uint16)), GREY),
    "12 bits in a TIFF, said": (lambda d: tiff(d / "a.tif", (GREY * 4095).astype(np.uint16), tiffinfo={281: 4095}), GREY),
    "floats": (lambda d: tiff(d / "a.tif", GREY.astype(np.float32)), GREY),
    "floats, said": (lambda d: tiff(d / "a.tif", (GREY * 300).astype(np.float32), tiffinfo={341: 300.0}), GREY),
    "32 bits": (lambda d: tiff(d / "a.tif", (GREY * (2**31 - 1)).astype(np.int32)), GREY),
    "32 bits without a sign": (lambda d: unsigned(d / "a.tif", (GREY * (2**32 - 1)).astype("<u4")), GREY),
    "white is zero": (lambda d: tiff(d / "a.tif", (GREY * 65535).astype(np.uint16), tiffinfo={262: 0}), 1 - GREY),
    "12-bit PGM": (lambda d: written(d / "a.pgm", b"P5 64 48 4095\n" + np.round(GREY * 4095).astype(">u2").tobytes()), GREY),
    "12-bit PPM": (lambda d: written(d / "a.ppm", b"P6 64 48 4095\n" + np.round(COLOURS * 4095).astype(">u2").tobytes()), COLOURS),
    "black": (lambda d: png(d / "a.png", GREY * 0), GREY * 0),
}


@pytest.mark.parametrize("name", DEEP)
def test_numbers_of_more_than_8_bits_go_from_black_to_white(tmp_path: Path, name: str) -> None:
    make, truth = DEEP[name]
    found = read(make(tmp_path))[0].astype(float)
    assert np.abs(found - 255 * (truth if truth.ndim == 3 else truth[..., None])).max() <= 1.1


UNKNOWN: dict[str, tuple[Callable[[Path], Path], str, float, np.ndarray]] = {
    "12 bits": (lambda d: png(d / "a.png", GREY * 4095), "give white=4095 or white=65535", 4095.0, GREY),
    "12-bit colours": (lambda d: png(d / "a.png", COLOURS * 4095), "give white=4095 or white=65535", 4095.0, COLOURS),
    "12 bits in a TIFF": (lambda d: tiff(d / "a.tif", (GREY * 4095).astype(np.uint16)), "give white=4095 or white=65535", 4095.0, GREY),
    "bytes in 32 bits": (lambda d: tiff(d / "a.tif", (GREY * 255).astype(np.int32)), "give white=255 or", 255.0, GREY),
    "floats to 255": (lambda d: tiff(d / "a.tif", (GREY * 255).astype(np.float32)), "give white=", 255.0, GREY),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_it_cannot_be_known_what_is_white_it_is_asked(tmp_path: Path, name: str) -> None:
    make, says, white, truth = UNKNOWN[name]
    path = make(tmp_path)
    with pytest.raises(Unreadable, match=says):
        read(path)
    assert np.abs(read(path, white)[0] - 255 * (truth if truth.ndim == 3 else truth[..., None])).max() <= 1.1


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    for numbers in (GREY.astype(np.float32) - 0.5, np.where(GREY > 0.5, np.nan, 0.5).astype(np.float32), (GREY * 100).astype(np.int32) - 50):
        with pytest.raises(Unreadable, match="negative or not finite"):
            read(tiff(tmp_path / "a.tif", numbers))


def _palette(path: Path, **options: Any) -> None:
    image = Image.fromarray((HALF // 255).astype(np.uint8), "P")
    image.putpalette([0, 255, 0, 200, 0, 0])
    image.save(path, **options)


CLEAR: dict[str, tuple[Callable[[Path], object], tuple[int, int, int]]] = {
    "rgba.png": (lambda p: Image.fromarray(np.dstack([RED, HALF])).save(p), (200, 0, 0)),
    "rgba.webp": (lambda p: Image.fromarray(np.dstack([RED, HALF])).save(p, lossless=True, exact=True), (200, 0, 0)),
    "rgba.avif": (lambda p: Image.fromarray(np.dstack([RED, HALF])).save(p, quality=100), (200, 0, 0)),
    "rgba.tif": (lambda p: Image.fromarray(np.dstack([RED, HALF])).save(p), (200, 0, 0)),
    "la.png": (lambda p: Image.fromarray(np.dstack([RED[..., :1], HALF])).save(p), (200, 200, 200)),
    "palette.png": (lambda p: _palette(p, transparency=0), (200, 0, 0)),
    "palette.gif": (lambda p: _palette(p, transparency=0), (200, 0, 0)),
    "key.png": (lambda p: Image.fromarray(np.where(HALF[..., None] > 0, RED, (0, 99, 0)).astype(np.uint8)).save(p, transparency=(0, 99, 0)), (200, 0, 0)),
    "grey key.png": (lambda p: Image.fromarray(np.where(HALF > 0, 50, 9).astype(np.uint8)).save(p, transparency=9), (50, 50, 50)),
    "16-bit key.png": (lambda p: Image.fromarray(np.where(HALF > 0, 65535, 9).astype(np.uint16)).save(p, transparency=9), (255, 255, 255)),
    "16-bit rgba.png": (lambda p: png(p, np.dstack([RED, HALF]).astype(np.uint16) * 257), (200, 0, 0)),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_transparent_is_white(tmp_path: Path, name: str) -> None:
    make, colour = CLEAR[name]
    make(tmp_path / name)
    found = read(tmp_path / name)[0].astype(int)
    assert (found[:, :31] == 255).all() and np.abs(found[:, 33:] - colour).max() <= 3
    small = read(tmp_path / name, short_px=12)[0].astype(int)
    assert np.abs(small[:, :7] - 255).max() == 0, "hidden colours do not bleed"


def test_colours_of_a_printer_and_of_a_camera(tmp_path: Path) -> None:
    Image.fromarray(RED).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    assert np.abs(read(tmp_path / "cmyk.jpg")[0].astype(int) - RED).max() < 6
    Image.fromarray(RED).convert("LAB").save(tmp_path / "lab.tif")
    assert np.abs(read(tmp_path / "lab.tif")[0].astype(int) - RED).max() < 12
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")).replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    for name, profile, truth in (("none", b"no profile", RED), ("srgb", srgb, RED), ("swapped", swapped, RED[..., [1, 0, 2]])):
        Image.fromarray(RED).save(tmp_path / f"{name}.png", icc_profile=profile)
        assert np.abs(read(tmp_path / f"{name}.png")[0].astype(int) - truth).max() <= 1, name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_photographs_stand_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    picture = (255 * COLOURS).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {} if ending == "tif" else {"quality": 100}
    Image.fromarray(picture).save(tmp_path / f"a.{ending}", exif=exif, **options)
    turned = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: np.swapaxes(a, 0, 1), 6: lambda a: np.rot90(a, -1),
              7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2), 8: np.rot90}  # fmt: skip
    found = read(tmp_path / f"a.{ending}")[0]
    truth = turned[orientation](picture)
    assert found.shape == truth.shape and np.abs(found.astype(int) - truth).mean() < 6


MOVING = [Image.fromarray(np.full((48, 64, 3), (60 * i, 0, 90), np.uint8)) for i in range(4)]
SAVED: dict[str, dict[str, Any]] = {
    "a.gif": {"duration": 200},
    "a.webp": {"duration": 200, "lossless": True},
    "a.png": {"duration": 200},
    "a.apng": {"duration": 200, "format": "PNG"},
    "still first.png": {"duration": 200, "default_image": True},
    "a.avif": {"duration": 200, "quality": 100},
    "a.tif": {},
}


@pytest.mark.parametrize("name", SAVED)
def test_pictures_that_move_are_films(tmp_path: Path, name: str) -> None:
    first = [MOVING[3]] if "still" in name else []
    images = [image.copy() for image in first + MOVING]
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:], **SAVED[name])
    found = read(tmp_path / name)
    assert found.shape == (4, 48, 64, 3)
    assert np.abs(found[:, 20, 20, 0].astype(int) - 60 * np.arange(4)).max() < 10
    assert len(read(tmp_path / name, fps=2.5)) == (1 if name == "a.tif" else 2)
    assert VideoFolder(tmp_path, tmp_path / ".cache", 24).shapes == [(4, 24, 32)]


def test_pictures_that_move_are_no_frames_of_a_sequence(tmp_path: Path) -> None:
    for i in range(3):
        MOVING[0].save(tmp_path / f"take_{i}.webp", save_all=True, append_images=MOVING[1:], lossless=True)
    assert [item.name for item in find_items(tmp_path).items] == ["take_0.webp", "take_1.webp", "take_2.webp"]


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    notes: list[str] = []
    page = Image.fromarray(RED)
    page.save(tmp_path / "thumbnail.tif", save_all=True, append_images=[page.resize((16, 12))], tiffinfo={})
    assert read(tmp_path / "thumbnail.tif", notes=notes).shape == (1, 48, 64, 3)
    assert notes == ["holds 2 pictures of several sizes or kinds; the first is read"]


def test_a_photograph_with_a_second_picture_is_one_photograph(tmp_path: Path) -> None:
    MOVING[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=MOVING[1:])
    assert len(read(tmp_path / "a.jpg")) == 1


def test_a_film_of_pictures_that_was_cut_off_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 48, 64), np.uint8)
    images = [Image.fromarray(frame) for frame in noise]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    whole = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(whole[: len(whole) * 6 // 10])
    assert 4 <= VideoFolder(tmp_path, tmp_path / ".cache", 24).shapes[0][0] < 10
    assert "read in part" in capsys.readouterr().err
    with pytest.raises(BadInput, match="read in part"):
        VideoFolder(tmp_path, tmp_path / ".cache", 24, strict=True)


@pytest.mark.parametrize("mode", ["1", "L", "RGBA"])
def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path, mode: str) -> None:
    h = w = 12_000
    kind, bits = {"1": (0, 1), "L": (0, 8), "RGBA": (6, 8)}[mode]
    row = b"\0" * (1 + w * {"1": 1, "L": 8, "RGBA": 32}[mode] // 8)
    packed = zlib.compressobj(9)
    data = b"".join([*(packed.compress(row * 100) for _ in range(h // 100)), packed.flush()])
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks))
    begin = time.monotonic()
    with pytest.raises(Unreadable, match=r"12000 × 12000 pixels; at most"):
        read(path, short_px=96)
    assert time.monotonic() - begin < 1


def test_a_large_photograph_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (12_000, 9_000), (200, 0, 0)).save(tmp_path / "a.jpg")  # 108 million pixels, as telephones make them
    assert np.abs(read(tmp_path / "a.jpg", short_px=96)[0].astype(int) - (200, 0, 0)).max() < 4


def test_a_strip_is_no_picture(tmp_path: Path) -> None:
    Image.new("L", (60_000, 2)).save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match="times as long as wide"):
        read(tmp_path / "a.png", short_px=96)


def test_nothing_is_passed_over_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(RED).save(tmp_path / "a.png")
    for name in ("b.heic", "c.HEIC", "d.txt", "README", ".hidden", "e.raw"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / ".more").mkdir()
    footage = VideoFolder(tmp_path, tmp_path.parent / "cache", 24)
    assert footage.names == ["a.png"]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "passed over" in line]
    assert line == f"data={tmp_path}: passed over, since not read as videos or pictures: 2 .heic, 1 without an ending, 1 .txt, 1 .raw, 2 hidden"


def test_what_is_no_regular_file_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    Image.fromarray(RED).save(data / "good.png")
    os.mkfifo(data / "fifo.mp4")
    os.mkfifo(data / "fifo.png")
    (data / "zero.mp4").symlink_to("/dev/zero")
    (data / "zero.png").symlink_to("/dev/zero")
    (data / "circle.mp4").symlink_to("circle.mp4")
    (data / "nowhere.gif").symlink_to("nothing.gif")
    with (data / "hole.mp4").open("wb") as file:
        file.truncate(5 << 40)
    numbered = data / "numbered"
    numbered.mkdir()
    for i in range(3):
        os.mkfifo(numbered / f"{i}.png")
    begin = time.monotonic()
    footage = VideoFolder(data, tmp_path / "cache", 24)
    assert time.monotonic() - begin < 5
    assert footage.names == ["good.png"]
    said = capsys.readouterr().err
    for name in ("fifo.mp4", "fifo.png", "zero.mp4", "zero.png", "circle.mp4", "nowhere.gif", "hole.mp4", "numbered"):
        assert f"{name}" in said and name.split("/")[0] in " ".join(footage.skipped)
