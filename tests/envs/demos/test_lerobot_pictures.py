"""Pictures of others' LeRobot datasets: the film and not its cover, each frame where its number says, and no colours that are hidden."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from envs.demos.episodes import Episode, episode_paths, read_episode
from tests.envs.demos.demo_files import write_folder
from tests.envs.demos.test_convert import read, run
from whatwhere.errors import BadInput

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("ours") / "demos", 1)


def others(folder: Path, out: Path, pictures: str) -> Path:
    """A dataset that does not say that this package wrote it."""
    there = run(folder, out, "lerobot", f"pictures={pictures}")
    for name in ("whatwhere.jsonl", "whatwhere.json"):
        (there / "meta" / name).unlink()
    return there


def ffmpeg(*arguments: object) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)], check=True)


def remade(there: Path, *arguments: object) -> None:
    for path in there.rglob("*.mp4"):
        source = path.rename(path.with_suffix(".source.mp4"))
        ffmpeg(*(source if argument == "SOURCE" else argument for argument in arguments), path)
        source.unlink()


def frames(episode: Episode) -> np.ndarray:
    assert episode.frames is not None
    return episode.frames


def test_a_cover_is_not_the_camera(folder: Path, tmp_path: Path) -> None:
    there = others(folder, tmp_path / "there", "video")
    plain = frames(read(there)[0])
    Image.new("RGB", (plain.shape[3], plain.shape[2]), (0, 255, 0)).save(tmp_path / "cover.png")
    remade(there, "-i", tmp_path / "cover.png", "-i", "SOURCE", "-map", 0, "-map", 1, "-c:v:1", "copy", "-c:v:0", "libx264", "-pix_fmt:v:0", "yuv444p")
    assert np.array_equal(frames(read(there)[0]), plain)
    written = frames(read_episode(episode_paths(folder)[0]))
    assert np.abs(plain.astype(int) - written).mean() < 8


def test_a_frame_that_is_missing_shifts_nothing_in_silence(folder: Path, tmp_path: Path) -> None:
    there = others(folder, tmp_path / "there", "video")
    remade(there, "-i", "SOURCE", "-vf", "select='not(eq(n,2))'", "-fps_mode", "vfr", "-c:v", "libx264")
    with pytest.raises(BadInput, match=r"frame 2 is at 0\.150 s: not 20 frames a second"):
        read(there)


def test_a_film_that_was_cut_off_is_refused(folder: Path, tmp_path: Path) -> None:
    there = others(folder, tmp_path / "there", "video")
    remade(there, "-i", "SOURCE", "-c", "copy", "-movflags", "+faststart")
    for path in there.rglob("*.mp4"):
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"ends at frame|not a whole mp4"):
        read(there)


def test_cells_are_read_as_pictures_are(folder: Path, tmp_path: Path) -> None:
    """Transparent cells lie on white, and cells that hold another size are refused."""
    there = others(folder, tmp_path / "there", "image")
    (path,) = sorted((there / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    (key, *_) = [name for name in table.column_names if name.startswith("observation.images.")]

    def cells(picture: np.ndarray) -> None:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        column = pa.array([{"bytes": buffer.getvalue(), "path": None}] * len(table), table.schema.field(key).type)
        pq.write_table(table.set_column(table.column_names.index(key), table.schema.field(key), column), path)

    edge = frames(read(there)[0]).shape[2]
    clear = np.zeros((edge, edge, 4), np.uint8)
    clear[..., 0] = 200
    cells(clear)
    assert (frames(read(there)[0])[:, 0] == 255).all()
    cells(np.zeros((edge + 2, edge, 3), np.uint8))
    with pytest.raises(BadInput, match=r"meta/info\.json says"):
        read(there)
