"""A picture as a viewer shows it: upright, in sRGB, on a white page where it is transparent, and its numbers scaled from black to white as its file says.

What is white where a number has more than 8 bits, in this order: `white`, if the user says so; what the file says (PNG: sBIT; TIFF: MaxSampleValue; PGM and
JPEG 2000 always); 1.0 for floats that lie in [0, 1]; the largest number of its type, for whole numbers that reach its upper quarter. Where none of these
tells, the picture is refused: as 12 bits in a 16-bit file it would be black, and nothing tells that from a dark picture.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from whatwhere.counted import counted
from whatwhere.errors import BadInput, is_of_this_machine
from whatwhere.look import look

READ = ("PNG", "JPEG", "JPEG2000", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", "TGA", "QOI")  # of Pillow's formats: none that runs a program
MOVING = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")  # of which several pictures in a file are the frames of a film; of a JPEG they are something else
MOST_PIXELS = 80_000_000  # that are decoded; a larger JPEG is decoded smaller
LARGE = 10_000_000  # pixels from which one picture is decoded at a time, whatever the number of threads
WIDEST = 64  # long side over short side
BACKGROUND = (255, 255, 255)  # behind what is transparent
SUBFILE, NO_PAGE = 254, 1 | 4  # of a TIFF: smaller copies and masks of other pages
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of a TIFF
ROWS_AT_ONCE = 256
DEEP = ("I", "F")  # how the names of modes with more than 8 bits begin
DELAY_S, LEAST_DELAY_S = 0.1, 0.01  # of a frame that names none or, as browsers have it, next to none
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError, struct.error, Image.DecompressionBombError)

Fit = Callable[[int, int], tuple[int, int]]  # (width, height) → those wanted

_one_at_a_time = Lock()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # its line tells a user nothing: MOST_PIXELS refuses


class Unreadable(Exception):
    """A file that is no film or picture, is damaged, or cannot be understood: says why, without the file's name."""


def pictures(file: Path | BinaryIO, fit: Fit | None = None, white: float | None = None, notes: list[str] | None = None) -> Iterator[tuple[np.ndarray, float]]:
    """The picture in a file, or the frames of an animated one, each as uint8 (h, w, 3) with its time in seconds. Raises Unreadable.

    `fit`: scaled to that size. `notes` is given what the file has that is not read, and why an animation ends early.
    """
    notes = [] if notes is None else notes
    count = 0
    try:
        if isinstance(file, Path):
            look(file, "picture")
        with Image.open(file, formats=READ) as image:
            pages, time = _pages(image, notes), 0.0
            for page in pages:
                image.seek(page)
                yield shown(image, file, fit, white), time
                count += 1
                delay = image.info.get("duration", 0) / 1000
                time += delay if delay > LEAST_DELAY_S else DELAY_S
    except BadInput as error:
        raise Unreadable(str(error).removeprefix(f"{file}: ")) from None
    except DAMAGE as error:
        if is_of_this_machine(error):
            raise
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())[:160]
        if not count:
            raise Unreadable(reason) from None
        notes.append(f"ends early: {reason}")


def _pages(image: Any, notes: list[str]) -> Iterable[int]:
    """Which pictures of a file are its film, or its one picture."""
    try:
        pages = list(range(getattr(image, "n_frames", 1) if image.format in MOVING else 1))
    except DAMAGE:  # a GIF that was cut off
        return itertools.count()
    if image.format == "PNG" and len(pages) > 1 and image.default_image:
        return pages[1:]  # the first is for viewers that do not know animations
    if image.format == "TIFF" and len(pages) > 1:
        kinds = {}
        for page in pages:
            image.seek(page)
            if not image.tag_v2.get(SUBFILE, 0) & NO_PAGE:
                kinds[page] = (image.size, image.mode)
        pages = list(kinds) or [0]
        if len(set(kinds.values())) > 1:
            notes.append(f"holds {counted(len(pages), 'picture')} of several sizes or kinds; the first is read")
            pages = pages[:1]
        image.seek(pages[0])
    return pages


def shown(image: Any, file: Path | BinaryIO, fit: Fit | None = None, white: float | None = None) -> np.ndarray:
    """An opened picture as uint8 (h, w, 3); `file` is where it was opened from. Raises Unreadable and what Pillow raises for a damaged one."""
    wanted = fit(*image.size) if fit is not None else image.size
    image.draft("RGB", wanted)  # JPEG: decodes at an eighth, a quarter or a half where that is enough
    width, height = image.size
    if width * height > MOST_PIXELS or max(width, height) > WIDEST * min(width, height):
        raise Unreadable(f"{width} × {height} pixels; at most {MOST_PIXELS} are read, and at most {WIDEST} times as long as wide")
    with _one_at_a_time if width * height > LARGE else contextlib.nullcontext():
        plain = _eight_bits(image, file, white)
        if plain.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in plain.info:
            plain = on_background(plain)
        if plain.mode in ("1", "P"):
            plain = plain.convert("RGB")
        small = plain if plain.size == wanted else plain.resize(wanted, Image.Resampling.BOX)
    return np.asarray(_upright(_srgb(small, image.info.get("icc_profile")), image))


def on_background(image: Any) -> Any:
    """A transparent picture as it looks on a page of BACKGROUND: mode RGB."""
    colours = image.convert("RGBA")
    page = Image.new("RGBA", colours.size, (*BACKGROUND, 255))
    page.alpha_composite(colours)
    return page.convert("RGB")


def _srgb(image: Any, profile: bytes | None) -> Any:
    """In the colours of a screen, by the profile in the file if it has one that can be read: mode RGB."""
    if profile and image.mode in ("L", "RGB", "CMYK"):
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(own).lower():
                return ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image.convert("RGB")


def _upright(small: Any, image: Any) -> Any:
    """Turned as the camera says. A damaged note of the camera's does not make a sound picture unreadable."""
    with contextlib.suppress(*DAMAGE):
        small.getexif()[0x0112] = image.getexif().get(0x0112, 1)
        return ImageOps.exif_transpose(small)
    return small


def _eight_bits(image: Any, file: Path | BinaryIO, white: float | None) -> Any:
    """The picture in a mode of Pillow's with 8 bits a colour."""
    raw = str(image.tile[0][3]) if image.tile else ""  # how the file has them; Pillow cuts 16 bits of several colours down to the upper 8
    if image.mode.startswith(DEEP):
        image.load()
        numbers = np.asarray(image)
        if image.mode == "I" and "I;32N" in raw:
            numbers = numbers.view(np.uint32)  # as the file has them
        see_through = numbers == key if isinstance(key := image.info.get("transparency"), int) else None
        levels = _levels(numbers, image, file, white)
        if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # which Pillow sees to in 8 bits only
            levels = 255 - levels
        if see_through is not None:
            return Image.merge("LA", (Image.fromarray(levels), Image.fromarray(np.where(see_through, 0, 255).astype(np.uint8))))
        return Image.fromarray(levels)
    if image.format in ("PNG", "TIFF") and ";16" in raw and image.mode != "CMYK":
        numbers = _sixteen_bits(file)  # (h, w, 3 or 4)
        levels = _levels(numbers[..., :3], image, file, white)
        return Image.fromarray(np.concatenate([levels, (numbers[..., 3:] >> 8).astype(np.uint8)], axis=2))
    image.load()
    return image


def _sixteen_bits(file: Path | BinaryIO) -> np.ndarray:
    """A picture of 16-bit colours: uint16 (h, w, 3), or (h, w, 4) where it may be transparent."""
    import av
    import av.error

    if not isinstance(file, Path):
        file.seek(0)
    try:
        options = {"format_whitelist": "png_pipe,tiff_pipe", "protocol_whitelist": "file"}
        with av.open(str(file.absolute()) if isinstance(file, Path) else file, mode="r", options=options) as container:
            frame: Any = next(container.decode(video=0))
            return frame.to_ndarray(format="rgba64le" if any(part.is_alpha for part in frame.format.components) else "rgb48le")
    except (av.error.FFmpegError, StopIteration) as error:
        raise Unreadable(f"16 bits a colour that cannot be decoded ({error})") from None


def _levels(numbers: np.ndarray, image: Any, file: Path | BinaryIO, white: float | None) -> np.ndarray:
    """Black to white as uint8. Raises Unreadable where it cannot be known what is white."""
    least, most = numbers.min(), numbers.max()
    if not np.isfinite(most) or not np.isfinite(least) or least < 0:
        raise Unreadable(f"numbers from {least:g} to {most:g}: negative or not finite, so no picture")
    top = white if white is not None else _white(numbers, float(most), image, file)
    levels = np.empty(numbers.shape, np.uint8)
    for start in range(0, len(numbers), ROWS_AT_ONCE):  # a large picture as floats would take several times its memory
        rows = slice(start, start + ROWS_AT_ONCE)
        levels[rows] = np.minimum(numbers[rows] / np.float32(top), 1) * 255 + 0.5
    return levels


def _white(numbers: np.ndarray, most: float, image: Any, file: Path | BinaryIO) -> float:
    told = _told(numbers, image, file)
    if told is not None and most <= told:
        return told
    if numbers.dtype.kind == "f":
        if most <= 1:
            return 1.0
        raise Unreadable(f"floats up to {most:g}: what is white in them is not known; give white=…")
    largest = int(np.iinfo(numbers.dtype).max)
    if image.mode == "I" and (image.format != "TIFF" or ";16S" in str(image.tile)):  # holds 16 bits too
        largest = 32767 if image.format == "TIFF" else 65535
    if most == 0 or most > largest / 4 or image.format in ("PPM", "JPEG2000"):
        return largest
    found = f"{largest.bit_length()}-bit numbers that reach no further than {most:g}"
    raise Unreadable(f"{found}: fewer bits, or a dark picture; give white={2 ** int(most).bit_length() - 1} or white={largest}")


def _told(numbers: np.ndarray, image: Any, file: Path | BinaryIO) -> float | None:
    """The number that is white by the file's own word."""
    if image.format == "TIFF":
        if numbers.dtype.kind == "u" and 8 < (bits := max(image.tag_v2.get(BITS, (0,)))) < 16:
            return 2.0**bits - 1
        for tag in (341, 281):  # SMaxSampleValue, MaxSampleValue
            values = image.tag_v2.get(tag)
            value = max(values) if isinstance(values, tuple) and values else values
            if isinstance(value, int | float) and value > 0:
                return float(value)
    if image.format == "PNG" and (bits := _significant_bits(file)):  # by the standard shifted up to 16 bits; some programs do not
        shifted = bits >= 16 or numbers.max() >= 2**bits or not (numbers % 2 ** (16 - bits)).any()
        return 65535.0 if shifted else 2.0**bits - 1
    return None


def _significant_bits(file: Path | BinaryIO) -> int | None:
    """sBIT of a PNG: how many bits a number had before it was stored in 16."""
    with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as stream:
        stream.seek(8)
        for _ in range(100):
            head = stream.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"sBIT":
                return max(stream.read(min(length, 3)), default=0)
            if len(head) < 8 or kind == b"IDAT":
                return None
            stream.seek(length + 4, 1)
    return None
