"""Films come out as a player shows them, frame by frame, whatever else is in the file. The truth is FFmpeg's own command, or what was painted."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from policy.pretrain.decode import Unreadable, frames
from policy.pretrain.listing import Item
from policy.pretrain.video_folder import VideoFolder
from whatwhere.errors import BadInput

FRAMES, HEIGHT, WIDTH = 20, 48, 64
H264 = ("-c:v", "libx264", "-qp", "1")


def ffmpeg(*arguments: object, stdin: bytes | None = None) -> bytes:
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    return done.stdout


def film() -> np.ndarray:
    """A red square that goes right by 2 pixels a frame, over blue above and grey below: no two frames and no two corners are alike."""
    clip = np.full((FRAMES, HEIGHT, WIDTH, 3), 90, np.uint8)
    clip[:, : HEIGHT // 2] = (30, 60, 200)
    for t in range(FRAMES):
        clip[t, 8:24, 2 * t : 2 * t + 16] = (220, 30, 30)
    return clip


def write(path: Path, clip: np.ndarray, *options: object, before: Sequence[object] = ()) -> Path:
    size = f"{clip.shape[2]}x{clip.shape[1]}"
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", 10, "-i", "-", *before, *options, path, stdin=clip.tobytes())
    return path


def told(path: Path, height: int = HEIGHT, width: int = WIDTH, *options: object) -> np.ndarray:
    """What FFmpeg's command shows of a file."""
    raw = ffmpeg("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough", *options, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def read(path: Path, notes: list[str] | None = None, short_px: int = HEIGHT, fps: float | None = None) -> np.ndarray:
    return np.stack(list(frames(Item(path.name, (path,)), short_px, fps, notes=notes)))


def assert_alike(found: np.ndarray, truth: np.ndarray, within: float = 2.5) -> None:
    assert found.shape == truth.shape
    assert np.abs(found.astype(int) - truth).mean() < within


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("film") / "plain.mp4", film(), *H264, "-pix_fmt", "yuv444p")


@pytest.fixture(scope="module")
def cover(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cover") / "cover.jpg"
    Image.new("RGB", (300, 300), (0, 255, 0)).save(path)
    return path


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp4", ("-c", "copy", "-disposition:v:0", "attached_pic")),
        ("m4v", ("-c", "copy", "-disposition:v:0", "attached_pic")),
        ("mkv", ("-c", "copy")),
        ("mp4", ("-c:v", "libx264")),  # a track of one picture, called nothing
        ("mkv", ("-c:v", "libx264")),
        ("wmv", ("-c:v:0", "mjpeg", "-c:v:1", "wmv2", "-q:v", "1")),
    ],
)
def test_a_film_is_not_its_cover(tmp_path: Path, plain: Path, cover: Path, ending: str, options: tuple[str, ...]) -> None:
    path = tmp_path / f"film.{ending}"
    ffmpeg("-i", cover, "-i", plain, "-map", 0, "-map", 1, *options, path)
    assert_alike(read(path), film(), within=6)


def test_sound_with_a_cover_is_no_film(tmp_path: Path, cover: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=d=1")
    ffmpeg("-i", cover, *sound, "-map", 0, "-map", 1, "-c:v", "copy", "-c:a", "aac", "-disposition:v:0", "attached_pic", tmp_path / "song.mp4")
    ffmpeg(*sound, "-c:a", "aac", tmp_path / "sound.mp4")
    for name, says in (("song", "no video in it but a cover"), ("sound", "no video in it")):
        with pytest.raises(Unreadable, match=says):
            read(tmp_path / f"{name}.mp4")


def test_of_several_films_the_marked_one_else_the_largest(tmp_path: Path, plain: Path) -> None:
    other = write(tmp_path / "other.mp4", np.zeros((FRAMES, 24, 32, 3), np.uint8), *H264)
    both = ("-i", other, "-i", plain, "-map", 0, "-map", 1, "-c", "copy", "-disposition:v", 0)
    ffmpeg(*both, tmp_path / "largest.mkv")
    ffmpeg(*both, "-disposition:v:0", "default", tmp_path / "marked.mkv")
    assert_alike(read(tmp_path / "largest.mkv"), film())
    assert not read(tmp_path / "marked.mkv", short_px=24).any()


@pytest.mark.parametrize("flip", [(), ("-display_hflip",), ("-display_vflip",)], ids=["", "hflip", "vflip"])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_and_mirrored_films_stand_upright(tmp_path: Path, plain: Path, turn: int, flip: tuple[str, ...]) -> None:
    path = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", turn, *flip, "-i", plain, "-c", "copy", path)
    assert_alike(read(path), told(path, *((WIDTH, HEIGHT) if turn % 180 else (HEIGHT, WIDTH))), within=0.5)


@pytest.mark.parametrize(("shape", "height", "width"), [("2/1", HEIGHT, 2 * WIDTH), ("1/2", 2 * HEIGHT, WIDTH), ("16/11", HEIGHT, 93)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_pixels_are_square(tmp_path: Path, ending: str, shape: str, height: int, width: int) -> None:
    path = write(tmp_path / f"film.{ending}", film(), "-vf", f"setsar={shape}", *H264, "-pix_fmt", "yuv444p")
    assert_alike(read(path, short_px=480), told(path, height, width, "-vf", f"scale={width}:{height}:flags=bilinear"), within=4)


def test_what_an_edit_list_cuts_away_is_not_shown(tmp_path: Path, plain: Path) -> None:
    path = tmp_path / "edited.mp4"
    ffmpeg("-ss", 0.75, "-i", plain, "-c", "copy", path)
    truth = told(path)
    assert len(truth) < FRAMES
    assert_alike(read(path), truth, within=0.5)


def test_a_film_that_begins_late_loses_nothing(tmp_path: Path, plain: Path) -> None:
    for ending in ("mp4", "mkv", "ts"):
        path = tmp_path / f"late.{ending}"
        ffmpeg("-itsoffset", 3, "-i", plain, "-c", "copy", path)
        notes: list[str] = []
        assert_alike(read(path, notes), film())
        assert not notes
        assert len(read(path, fps=5.0)) == FRAMES // 2


def test_frames_of_uneven_length_are_all_there_once(tmp_path: Path, plain: Path) -> None:
    for ending in ("mp4", "mkv"):
        path = tmp_path / f"uneven.{ending}"
        ffmpeg("-i", plain, "-vf", "select='lt(n,6)+not(mod(n,7))'", "-fps_mode", "vfr", *H264, "-pix_fmt", "yuv444p", path)
        notes: list[str] = []
        assert_alike(read(path, notes), film()[[0, 1, 2, 3, 4, 5, 7, 14]])
        assert not notes


@pytest.mark.parametrize(
    "options",
    [
        ("-vf", "scale=out_color_matrix=bt601:out_range=tv", "-colorspace", "smpte170m", "-color_range", "tv", "-pix_fmt", "yuv444p"),
        ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_range", "tv", "-pix_fmt", "yuv444p"),
        ("-vf", "scale=out_color_matrix=bt709:out_range=pc", "-colorspace", "bt709", "-color_range", "pc", "-pix_fmt", "yuv444p"),
        ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709", "-color_range", "tv", "-pix_fmt", "yuv444p10le"),
        ("-pix_fmt", "yuvj444p"),
        ("-pix_fmt", "yuv444p"),
    ],
    ids=["bt601", "bt709", "full", "10bit", "yuvj", "untold"],
)
def test_colours_are_those_of_the_metadata(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = write(tmp_path / "film.mkv", film(), *H264, *options)
    found = read(path).astype(int)
    assert np.abs(found - film()).max() < 12 and np.abs(found - film()).mean() < 1.5


def test_a_large_film_that_says_nothing_is_in_the_colours_of_hdtv(tmp_path: Path) -> None:
    clip = np.full((2, 720, 1280, 3), (220, 30, 30), np.uint8)
    unsaid = ("-bsf:v", "h264_metadata=matrix_coefficients=2:colour_primaries=2:transfer_characteristics=2")
    path = write(tmp_path / "hd.mp4", clip, "-vf", "scale=out_color_matrix=bt709:out_range=tv", *H264, "-pix_fmt", "yuv444p", *unsaid)
    assert np.abs(read(path).astype(int) - (220, 30, 30)).max() < 4


def test_a_film_of_high_dynamic_range_is_brought_to_a_screens(tmp_path: Path) -> None:
    """Its numbers taken as they are would be too flat: PQ has white at 58 % of its range, and other primaries."""
    grey = np.full((2, HEIGHT, WIDTH, 3), 148, np.uint8)
    tags = "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"
    form = f"format=gbrp10le,scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,{tags}"
    path = write(tmp_path / "pq.mp4", grey, "-vf", form, "-c:v", "libx265", "-x265-params", "log-level=none")
    found = read(path)
    assert found.shape == (2, HEIGHT, WIDTH, 3) and found.mean() > 180


def test_interlaced_frames_have_no_combs(tmp_path: Path) -> None:
    """A square that moves by 4 pixels between the two halves of a frame."""
    twice = np.repeat(np.full((40, HEIGHT, WIDTH, 3), 90, np.uint8), 1, axis=0)
    for t in range(40):
        twice[t, 8:40, t : t + 16] = (220, 220, 220)
    path = write(tmp_path / "film.mpg", twice, "-vf", "tinterlace=interleave_top,fieldorder=tff", "-c:v", "mpeg2video", "-q:v", 1, "-flags", "+ilme+ildct")
    found = read(path).astype(int)
    assert len(found) == 20
    combs = np.abs(found[:, 9:39] - (found[:, 8:38] + found[:, 10:40]) // 2).mean()
    raw = told(path).astype(int)
    assert combs < 0.4 * np.abs(raw[:, 9:39] - (raw[:, 8:38] + raw[:, 10:40]) // 2).mean()


def test_what_is_transparent_in_a_film_is_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.mov"
    ffmpeg("-f", "lavfi", "-i", f"color=c=red@0.0:s={WIDTH}x{HEIGHT}:d=0.5:r=10,format=rgba", "-c:v", "qtrle", path)
    assert (read(path) == 255).all()


@pytest.mark.parametrize("ending", ["mp4", "mov", "3gp", "mkv", "webm", "avi", "flv"])
def test_a_film_that_was_cut_off_is_taken_as_far_as_it_goes_and_said(tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    long = np.random.default_rng(0).integers(0, 256, (60, HEIGHT, WIDTH, 3)).astype(np.uint8)
    codecs = {"webm": ("-c:v", "libvpx"), "avi": ("-c:v", "mpeg4"), "flv": ("-c:v", "flv1")}
    options = (*codecs.get(ending, ("-c:v", "libx264", "-g", "10")), *(("-movflags", "+faststart") if ending in ("mp4", "mov", "3gp") else ()))
    data = tmp_path / "data"
    data.mkdir()
    whole = write(data / f"film.{ending}", long, *options).read_bytes()
    notes: list[str] = []
    assert len(read(data / f"film.{ending}", notes)) == 60 and not notes
    (data / f"film.{ending}").write_bytes(whole[: len(whole) * 6 // 10])
    for _ in range(2):  # decoded, and found decoded
        footage = VideoFolder(data, tmp_path / "cache", short_px=24)
        assert 20 < footage.shapes[0][0] < 45
        assert "read in part" in capsys.readouterr().err
        with pytest.raises(BadInput, match=f"film.{ending}: read in part"):
            VideoFolder(data, tmp_path / "cache", short_px=24, strict=True)


@pytest.mark.parametrize("ending", ["ts", "wmv", "3gp", "m2ts", "mts", "vob", "ogv", "flv", "m4v", "mxf", "3g2", "asf", "mpeg", "h264", "mjpeg", "y4m", "divx"])
def test_films_of_many_kinds_are_read(tmp_path: Path, ending: str) -> None:
    form = {"divx": "avi", "vob": "vob", "mts": "mpegts", "m2ts": "mpegts", "m4v": "mp4"}.get(ending)
    codec = {"wmv": "wmv2", "asf": "wmv2", "3gp": "libx264", "3g2": "libx264", "h264": "libx264", "m4v": "libx264", "ogv": "libtheora"}.get(ending)
    rate = ("-r", 25) if ending in ("mxf", "vob", "mpeg") else ()
    path = write(
        tmp_path / f"film.{ending}",
        film(),
        *(("-c:v", codec) if codec else ()),
        *rate,
        *(("-f", form) if form else ()),
        *(("-pix_fmt", "yuv420p") if ending == "y4m" else ()),
    )
    footage = VideoFolder(tmp_path, tmp_path / ".cache", short_px=24)
    assert footage.names == [path.name]
    assert footage.shapes[0][1:] == (24, 32) and (rate or footage.shapes[0][0] == FRAMES)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nplain.mp4\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile plain.mp4\n", "export const a = 1;\n" * 99],
)
def test_a_playlist_called_a_film_opens_no_other_file(tmp_path: Path, plain: Path, text: str) -> None:
    (tmp_path / "plain.mp4").write_bytes(plain.read_bytes())
    for name in ("list.mp4", "list.ts", "list.mkv"):
        (tmp_path / name).write_text(text)
        with pytest.raises(Unreadable):
            read(tmp_path / name)
