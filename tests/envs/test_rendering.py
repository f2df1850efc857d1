"""Pictures: fast ones show what exact ones show, follow the physics model, never change it, and survive odd surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.rendering import Renderer, gl, meshes, prepare_gl
from whatwhere.errors import BadInput, Failed

ROOT = Path(__file__).resolve().parents[2]


def bumpy_ball(rings: int = 40, segments: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh of 2 · rings · segments triangles: vertices (n, 3), faces (m, 3)."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.arange(segments) * 2 * np.pi / segments, indexing="ij")
    radius = 1 + 0.1 * np.sin(3 * around) * np.sin(polar) ** 2
    vertices = (radius[..., None] * np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings), np.arange(segments), indexing="ij")
    a, b = row * segments + column, row * segments + (column + 1) % segments
    lower, upper = np.stack([a, a + segments, b], axis=-1), np.stack([b, a + segments, b + segments], axis=-1)
    return vertices, np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)])


def scene(textured: bool = False) -> mujoco.MjModel:
    vertices, faces = bumpy_ball()
    keep = np.linalg.norm(np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]), axis=1) > 1e-9

    def numbers(values: np.ndarray) -> str:
        return " ".join(f"{value:g}" for value in values.ravel())

    texcoord = f'texcoord="{numbers(vertices[:, :2])}"' if textured else ""
    return mujoco.MjModel.from_xml_string(f"""
    <mujoco>
      <asset>
        <mesh name="ball" vertex="{numbers(0.1 * vertices)}" face="{numbers(faces[keep])}" {texcoord}/>
        <texture name="checks" type="2d" builtin="checker" rgb1="1 1 1" rgb2="0 0 0" width="64" height="64"/>
        <material name="checks" texture="checks"/>
        <material name="mirror" reflectance=".3"/>
      </asset>
      <worldbody>
        <light name="lamp" pos="0 0 3"/>
        <geom name="floor" type="plane" size="2 2 .1" group="1" material="mirror"/>
        <geom name="collision" type="box" size=".3 .3 .3" group="0" rgba="0 1 0 1"/>
        <body name="top" pos="0 .2 .1"><freejoint/><geom name="red" type="box" size=".05 .05 .05" group="1" rgba="1 0 0 1"/></body>
        <body name="ball" pos="0 -.1 .1"><joint name="slide" type="slide" axis="1 0 0"/>
          <geom name="ball" type="mesh" mesh="ball" group="1" {'material="checks"' if textured else 'rgba="0 0 1 1"'} contype="0" conaffinity="0"/></body>
        <body name="guide" mocap="true" pos=".25 .2 .1">
          <geom name="guide" type="sphere" size=".03" group="1" rgba="1 0 1 1" contype="0" conaffinity="0"/></body>
        <camera name="above" pos="0 0 1"/>
        <camera name="low" pos="0 -1 .2" xyaxes="1 0 0 0 0 1" fovy="20"/>
      </worldbody>
    </mujoco>""")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHATWHERE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return scene()


@pytest.fixture(scope="module")
def renderers(model: mujoco.MjModel) -> Iterator[tuple[Renderer, Renderer]]:
    pair = Renderer(model, mode="fast"), Renderer(model, mode="exact")
    yield pair
    for renderer in pair:
        renderer.close()


@pytest.fixture
def data(model: mujoco.MjModel) -> mujoco.MjData:
    return mujoco.MjData(model)


def test_pictures_are_upright_and_show_no_collision_shapes(renderers, data) -> None:
    for renderer in renderers:
        frame = renderer.draw(data, "above", 60, 80).astype(int)
        assert frame.shape == (60, 80, 3)
        red = np.argwhere((frame[..., 0] > 100) & (frame[..., 1:].max(axis=-1) < 80))
        assert len(red) > 20 and red[:, 0].mean() < 25  # y is up in this camera
        assert not ((frame[..., 1] > 100) & (frame[..., [0, 2]].max(axis=-1) < 80)).any()


def test_fast_shows_what_exact_shows(model, renderers, data) -> None:
    for slide in (-0.1, 0.0, 0.15):
        data.qpos[-1] = slide
        for camera in ("above", "low"):
            fast, exact = (renderer.draw(data, camera, 96, 96, segmentation=True) for renderer in renderers)
            assert fast.dtype == np.int32 and fast.shape == (96, 96)
            for geom in np.unique(exact[exact >= 0]):
                a, b = fast == geom, exact == geom
                if b.sum() >= 50:
                    assert (a & b).sum() / (a | b).sum() >= 0.95, model.geom(geom).name
            assert {"ball", "floor"} <= {model.geom(geom).name for geom in np.unique(fast[fast >= 0])}


def test_fast_draws_fewer_triangles(model, renderers) -> None:
    fast, exact = (renderer._model for renderer in renderers)
    assert exact.mesh_facenum[0] == model.mesh_facenum[0] > 4000
    assert fast.mesh_facenum[0] <= meshes.ENOUGH * max(meshes.FEWEST, meshes.KEPT * model.mesh_facenum[0])
    assert fast.mat_reflectance.max() == 0 < exact.mat_reflectance.max()


def test_a_textured_mesh_is_left_whole() -> None:
    textured = scene(textured=True)
    renderer = Renderer(textured)
    assert renderer._model.mesh_facenum[0] == textured.mesh_facenum[0]
    frame = renderer.draw(mujoco.MjData(textured), "above", 96, 96)
    renderer.close()
    ball = frame[50:70, 38:58].astype(int)
    assert ball.max() - ball.min() > 100  # the checks are there


def test_drawing_changes_neither_model_nor_state(model, renderers, data) -> None:
    mujoco.mj_step(model, data, 10)

    def everything() -> bytes:
        state = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
        mujoco.mj_saveModel(model, None, buffer)
        return state.tobytes() + data.xpos.tobytes() + buffer.tobytes()

    before = everything()
    for renderer in renderers:
        renderer.draw(data, "low", 96, 96)
    assert everything() == before


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("geom_rgba", ("geom", "red"), (0, 1, 1, 1)),
        ("geom_size", ("geom", "red"), (0.1, 0.1, 0.05)),
        ("body_pos", ("body", "ball"), (0.1, -0.2, 0.1)),
        ("cam_pos", ("camera", "above"), (0.1, 0.1, 1.2)),
        ("cam_fovy", ("camera", "above"), 70.0),
        ("light_diffuse", ("light", "lamp"), (0.1, 0.1, 0.1)),
    ],
)
def test_changes_of_the_physics_model_show(model, renderers, data, field, name, value) -> None:
    index = getattr(model, name[0])(name[1]).id
    array = getattr(model, field)
    before = array[index].copy()
    first = [renderer.draw(data, "above", 96, 96) for renderer in renderers]
    array[index] = value
    try:
        changed = [renderer.draw(data, "above", 96, 96) for renderer in renderers]
        fresh = Renderer(model)
        expected = fresh.draw(data, "above", 96, 96)
        fresh.close()
    finally:
        array[index] = before
    assert all((a != b).any() for a, b in zip(first, changed, strict=True))
    np.testing.assert_array_equal(changed[0], expected)
    np.testing.assert_array_equal(renderers[0].draw(data, "above", 96, 96), first[0])


def test_mocap_bodies_are_followed(renderers, data) -> None:
    first = renderers[0].draw(data, "above", 96, 96)
    data.mocap_pos[0] += (-0.2, 0, 0)
    assert (renderers[0].draw(data, "above", 96, 96) != first).any()


def test_what_is_left_out_was_not_to_be_seen(model, renderers, data, monkeypatch) -> None:
    """Cameras all over the place: the same pixels with and without leaving out what is outside the view."""
    fast = renderers[0]
    rng = np.random.default_rng(0)
    camera = model.camera("above").id
    pose = model.cam_pos[camera].copy(), model.cam_quat[camera].copy()
    left_out = 0
    try:
        for _ in range(40):
            model.cam_pos[camera] = rng.uniform(-0.6, 0.6, 3)
            quaternion = rng.normal(size=4)
            model.cam_quat[camera] = quaternion / np.linalg.norm(quaternion)
            quick = fast.draw(data, "above", 48, 64)
            left_out += (fast._model.geom_group == 5).sum()
            with monkeypatch.context() as patch:
                patch.setattr(type(fast._unseen), "__call__", lambda *_: np.zeros(0, int))
                np.testing.assert_array_equal(quick, fast.draw(data, "above", 48, 64))
    finally:
        model.cam_pos[camera], model.cam_quat[camera] = pose
    assert left_out > 40


def test_equal_states_give_equal_pixels(model, renderers, data) -> None:
    other = Renderer(model)
    first = renderers[0].draw(data, "low", 96, 96)
    second = other.draw(data, "low", 96, 96)  # another context, in between
    renderers[1].draw(data, "above", 32, 32)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, renderers[0].draw(data, "low", 96, 96))
    other.close()
    np.testing.assert_array_equal(first, renderers[0].draw(data, "low", 96, 96))


def test_a_picture_larger_than_the_buffer(model, data) -> None:
    renderer = Renderer(model)
    small = renderer.draw(data, "above", 96, 96)
    assert renderer.draw(data, "above", 600, 800).shape == (600, 800, 3)
    np.testing.assert_array_equal(renderer.draw(data, "above", 96, 96), small)
    renderer.close()


def test_refusals_name_the_choices(model, renderers, data) -> None:
    with pytest.raises(BadInput, match=r"rendering=quick.*fast, exact"):
        Renderer(model, mode="quick")
    with pytest.raises(BadInput, match=r"camera=abov.*above, low.*did you mean above"):
        renderers[0].draw(data, "abov", 32, 32)


def test_decimated_meshes_are_kept_and_damaged_ones_made_again(model, cache) -> None:
    Renderer(model).close()
    stored = list((cache / "meshes").glob("*.npz"))
    assert len(stored) == 1
    whole = stored[0].read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not a zip file"):
        stored[0].write_bytes(damaged)
        Renderer(model).close()
        assert len(stored[0].read_bytes()) == len(whole)
    assert list((cache / "meshes").iterdir()) == stored  # no temporary files


def test_cache_falls_back_where_it_cannot_write(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("WHATWHERE_CACHE", "/dev/null/cache")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = meshes.cache_dir()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700


def test_gl_is_looked_for_once(monkeypatch) -> None:
    found = prepare_gl()
    monkeypatch.setattr(gl, "probe", lambda backend, without=(): pytest.fail("looked again"))
    assert prepare_gl() == found and os.environ["MUJOCO_GL"] == found[0]


def test_a_back_end_that_takes_too_long_is_not_told_to_be_missing(monkeypatch) -> None:
    """An overloaded machine: what to install is no remedy."""

    def never(words, timeout, **_):
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.delenv(gl.FOUND, raising=False)
    monkeypatch.setattr(gl.subprocess, "run", never)
    with pytest.raises(Failed, match=r"EGL and OSMESA drew nothing within 60 s.* overloaded; run the command again .*WHATWHERE_GL=egl") as told:
        prepare_gl()
    assert "apt-get" not in str(told.value)
    monkeypatch.setenv(gl.FOUND, "egl")  # what the message says
    assert prepare_gl() == ("egl", "")


# ---- odd surroundings, each in a process of its own

DRAW = """
    from envs.rendering import prepare_gl
    print(*prepare_gl())
    import mujoco
    from envs.rendering import Renderer
    model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom group="1" size=".1" rgba="1 0 0 1"/>'
                                           '<camera name="c" pos="0 0 1"/></worldbody></mujoco>')
    frame = Renderer(model).draw(mujoco.MjData(model), "c", 32, 32)
    assert frame[16, 16, 0] > 100 and frame[16, 16, 1] < 50, frame[16, 16]
    print("drawn", flush=True)
"""

HIDE = """
    import ctypes, os
    hidden, load = os.environ["HIDDEN"].split(), ctypes.CDLL.__init__
    def init(self, name, *arguments, **options):
        if any(word in str(name) for word in hidden):
            raise OSError(f"{name}: not here")
        load(self, name, *arguments, **options)
    ctypes.CDLL.__init__ = init
"""


def python(code: str, tmp_path: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Runs `code` with the given environment variables (None: unset), none of ours, and libraries in HIDDEN out of reach."""
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(HIDE))
    inherited = {name: value for name, value in os.environ.items() if name not in (gl.FOUND, "MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "LP_NUM_THREADS")}
    environment = {**inherited, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "HIDDEN": "", **changes}
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"CUDA_VISIBLE_DEVICES": ""},
        {"HOME": "/dev/null", "XDG_CACHE_HOME": None, "WHATWHERE_CACHE": None},
        {"MUJOCO_GL": "glfw"},
        {"MUJOCO_GL": "egl", "HIDDEN": "EGL"},
    ],
    ids=["no CUDA device", "home cannot be written", "MUJOCO_GL=glfw", "MUJOCO_GL=egl without EGL"],
)
def test_odd_surroundings(changes, tmp_path) -> None:
    done = python(DRAW, tmp_path, **changes)
    assert done.returncode == 0 and "drawn" in done.stdout, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) <= 1 and all("on the processor" in line for line in lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"MUJOCO_EGL_DEVICE_ID": "7"},
        {"MUJOCO_EGL_DEVICE_ID": "GPU-8932f937"},
        {"MUJOCO_EGL_DEVICE_ID": "-1"},
        {"GALLIUM_DRIVER": "none"},
        {"MESA_GL_VERSION_OVERRIDE": "1.1"},
    ],
    ids=lambda changes: "=".join(*changes.items()),
)
def test_what_keeps_egl_from_drawing_is_left_out_and_named(changes, tmp_path) -> None:
    done = python(DRAW, tmp_path, **changes)
    assert done.returncode == 0 and done.stdout.startswith("egl ") and "drawn" in done.stdout, done.stderr
    ((name, value),) = changes.items()
    assert f"EGL does not draw with {name}={value}; drawing without" in done.stderr and len(done.stderr.splitlines()) <= 2


IMPORT = """
    import os
    from pathlib import Path
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    import envs.tasks
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == given
    Path(os.environ["NUMBA_CACHE_DIR"], "probe").write_text("can be written")
    print("imported")
"""


@pytest.mark.parametrize(
    "changes",
    [
        {"CUDA_VISIBLE_DEVICES": "1", "MUJOCO_EGL_DEVICE_ID": "0"},
        {"CUDA_VISIBLE_DEVICES": "GPU-abcdef", "MUJOCO_EGL_DEVICE_ID": "0"},
        {"CUDA_VISIBLE_DEVICES": "-1", "MUJOCO_EGL_DEVICE_ID": "0"},
        {"CUDA_VISIBLE_DEVICES": "0", "MUJOCO_EGL_DEVICE_ID": "GPU-abcdef"},
        {"NUMBA_CACHE_DIR": "/proc/nowhere", "NUMBA_NUM_THREADS": "0"},
        {"NUMBA_CACHE_DIR": "/dev/null", "NUMBA_NUM_THREADS": "many"},
        {"NUMBA_CACHE_DIR": "", "HOME": "/proc", "XDG_CACHE_HOME": "/proc", "OMP_NUM_THREADS": "many"},
    ],
    ids=lambda changes: " ".join(f"{name}={value}" for name, value in changes.items()),
)
def test_robosuite_is_imported_in_odd_surroundings(changes, tmp_path) -> None:
    done = python(IMPORT, tmp_path, **changes)
    assert done.returncode == 0 and "imported" in done.stdout, done.stderr


def test_osmesa_where_egl_is_missing(tmp_path) -> None:
    done = python(DRAW, tmp_path, HIDDEN="EGL")
    assert done.stdout.startswith("osmesa ") and "drawn" in done.stdout, done.stderr


def test_without_any_back_end_one_line_names_the_packages(tmp_path) -> None:
    code = """
        from envs.rendering import prepare_gl
        from whatwhere.errors import BadInput
        try:
            prepare_gl()
        except BadInput as error:
            print(error)
    """
    done = python(code, tmp_path, HIDDEN="EGL OSMesa")
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1 and "libegl1" in done.stdout and "libosmesa6" in done.stdout


def test_workers_inherit_what_was_found(tmp_path) -> None:
    found = os.environ.get(gl.FOUND) or ":".join(prepare_gl())
    done = python(DRAW, tmp_path, **{gl.FOUND: found})
    assert "drawn" in done.stdout and done.stderr == "", done.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_torchvision_before_and_after_drawing(order, tmp_path) -> None:
    pytest.importorskip("torchvision")
    code = f"    import torchvision\n{DRAW}" if order == "before" else f"{DRAW}\n    import torchvision\n"
    done = python(code + "    print('survived')", tmp_path)
    assert done.returncode == 0 and "survived" in done.stdout, done.stderr
