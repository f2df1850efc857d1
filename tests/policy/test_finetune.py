"""Fine-tuning and pre-training: what a sample is, that nothing of the future leaks in, resuming, and refusals."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from envs.demos.episodes import Episode, write_episode
from eval.playing.prepare import prepare
from eval.run import Settings as EvalSettings
from policy.channels import m_channels, p_channels
from policy.finetune import Settings, check
from policy.finetune import main as finetune
from policy.language.bag import bag_of_words
from policy.pretrain.clips import Clips
from policy.storage import checkpoint
from policy.streams import TwoStreamEncoder
from policy.training import loop as training
from policy.training.cache import shift_table, token_cache
from policy.training.dataset import load_demos, moved_by, shifted
from policy.training.mirror import Mirror
from whatwhere.errors import BadInput, Failed
from whatwhere.files import read_json
from whatwhere.settings import parse

SIZE, GAP, CAMERAS = 32, 4, ["agentview", "robot0_eye_in_hand"]


def episode(steps: int, number: int, **attrs: Any) -> Episode:
    rng = np.random.default_rng(number)
    facts = {
        "task": "pick_at_xy", "task_version": "0", "init_hash": f"{number:016x}", "seed": 0, "episode": number, "rendering": "fast", "size": SIZE,
        "cameras": CAMERAS, "frame_gap": GAP, "control_hz": 20, "horizon": 100, "versions": {}, "model_file": "<mujoco/>", "env_name": "PickAtXY",
    }  # fmt: skip
    return Episode(
        actions=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
        states=rng.normal(size=(steps, 20)),
        proprio=rng.normal(size=(steps, 5)).astype(np.float32),
        frames=rng.integers(0, 256, (steps, 2, SIZE, SIZE, 3), dtype=np.uint8),
        success=True,
        instruction="pick up the red cube",
        attrs=facts | attrs,
    )


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demos(tmp_path_factory.mktemp("demos"))


def write_demos(folder: Path) -> Path:
    """Three short ones."""
    for i, steps in enumerate((6, 9, 7)):
        write_episode(folder / f"episode_{i}.hdf5", episode(steps, i))
    return folder


def settings(folder: Path, out: Path, **changes: Any) -> Settings:
    words = {"demos": folder, "out": out, "num_demos": 3, "steps": 12, "batch": 4, "streams": "random", "shifts": 2, "cache": out.parent / "cache"} | changes
    words |= {"precision": "fp32", "save_every": 4}
    return parse("policy.conf", "finetune", Settings, [f"{key}={value}" for key, value in words.items()])


@contextlib.contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A training in it is interrupted when it has saved step 8."""
    save = training.save_state

    def die(path: Path, step: int, *rest: Any) -> None:
        save(path, step, *rest)
        if step == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", die)
        with pytest.raises(KeyboardInterrupt):
            yield


def spelled(value: Any) -> Any:
    """A setting as it stands on a command line."""
    return "null" if value is None else f"[{','.join(value)}]" if isinstance(value, tuple) else value


def test_each_demonstration_is_followed_by_its_mirror_image(demos: Path) -> None:
    mirror = Mirror((1, -1, 1, 1, 1, 1, -1), (1, 1, -1, 1, 1), tuple(CAMERAS))
    data, plain = load_demos(demos, 2, chunk=4, mirror=mirror), load_demos(demos, 2, chunk=4)
    assert len(data) == 2 * (6 + 9) and data.mirrored and not plain.mirrored and data.digest != plain.digest
    assert data.init_hashes == plain.init_hashes and data.starts == plain.starts
    first = slice(6, 12)  # the image of the first episode
    np.testing.assert_array_equal(data.frames[first], plain.frames[:6, :, :, ::-1])
    np.testing.assert_array_equal(data.chunks[first], plain.chunks[:6] * np.array(mirror.actions))
    np.testing.assert_array_equal(data.proprio[first], plain.proprio[:6] * np.array(mirror.proprio))
    np.testing.assert_array_equal(data.previous[first], plain.previous[:6] + 6)
    np.testing.assert_array_equal(load_demos(demos, 1, 4, after=data).frames, load_demos(demos, 3, 4).frames[-7:])
    other = Mirror(mirror.actions, mirror.proprio, ("agentview",))
    assert len(load_demos(demos, 2, 4, mirror=other)) == 6 + 9  # from another camera it is another picture


def test_a_task_that_is_another_one_in_the_mirror_is_refused(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="mirror=true: task=place_left_of is not known to go the same"):
        check(settings(demos, tmp_path / "out", task="place_left_of", mirror=True))


def test_a_sample_sees_the_past_and_learns_what_followed(demos: Path) -> None:
    data = load_demos(demos, 3, chunk=4)
    assert len(data) == 6 + 9 + 7
    first, second = episode(6, 0), episode(9, 1)
    row = 6 + 5  # step 5 of the second episode
    assert data.previous[row] == 6 + 1
    assert data.previous[6 + 2] == 6, "before the gap is filled, the pair begins at the reset, not in the episode before"
    assert second.frames is not None
    np.testing.assert_array_equal(data.frames[data.previous[row]], second.frames[1])
    np.testing.assert_array_equal(data.chunks[row], second.actions[5:9])
    assert data.valid[4].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(data.chunks[4, :2], first.actions[4:6])


def test_frames_after_t_do_not_change_what_a_policy_is_given(demos: Path) -> None:
    data = load_demos(demos, 1, chunk=4)
    t = 3
    blind = data.frames.copy()
    blind[t + 1 :] = 0
    np.testing.assert_array_equal(data.frames[[data.previous[t], t]], blind[[data.previous[t], t]])
    assert (data.previous <= np.arange(len(data))).all()


def test_smaller_sets_are_nested_in_larger_ones(demos: Path) -> None:
    np.testing.assert_array_equal(load_demos(demos, 1, 4).frames, load_demos(demos, 3, 4).frames[:6])


def test_one_shift_moves_all_frames_of_a_sample_by_the_same_pixels() -> None:
    frames = np.zeros((2, 3, 16, 16, 3), np.uint8)
    frames[:, :, 8, 8] = 255
    moved = shifted(frames, np.array([[2, -3], [0, 0]]), 4)
    assert (moved[0, :, 6, 11] == 255).all()
    np.testing.assert_array_equal(moved[1], frames[1])


def test_a_shift_is_known_to_the_keypoints() -> None:
    """Whatever the shift, adding `moved_by` to where the dot is seen gives where it was."""
    frames = np.zeros((1, 1, 16, 16, 3), np.uint8)
    frames[0, 0, 9, 5] = 255
    for shift in ([0, 0], [3, -2], [-4, 4]):
        shifts = np.array([shift])
        _, _, row, column = np.argwhere(shifted(frames, shifts, 4)[..., 0] == 255)[0]
        seen = (np.array([column, row]) + 0.5) * 2 / 16 - 1  # x, y
        np.testing.assert_allclose(seen + moved_by(shifts, 16)[0], (np.array([5, 9]) + 0.5) * 2 / 16 - 1, atol=1e-6)


def test_cached_tokens_are_what_the_streams_say(demos: Path, tmp_path: Path) -> None:
    data = load_demos(demos, 3, chunk=4)
    torch.manual_seed(0)
    streams = TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2).eval()
    cache = token_cache(tmp_path, streams, "these", data, shifts=3, reach=4, seed=0, batch=5)
    row, copy = 9, 2
    pair = np.concatenate([data.frames[data.previous[[row]]], data.frames[[row]]], axis=1)
    pixels = torch.from_numpy(shifted(pair, shift_table(3, len(data), 4, 0)[copy, [row]], 4)).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        said = streams(m_channels(pixels[0, :2], pixels[0, 2:]), p_channels(pixels[0, 2:]))
    kept = cache.tokens(np.array([copy]), np.array([row]))
    torch.testing.assert_close(kept.p_patches[0].float(), said.p_patches, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(kept.m_cls[0].float(), said.m_cls, atol=5e-3, rtol=5e-3)
    cache.hold(torch.device("cpu"))  # as a GPU does
    held = cache.tokens(np.array([copy, 0]), np.array([row, 3]))
    assert torch.equal(held.m_patches[:1], kept.m_patches) and torch.equal(held.p_cls[:1], kept.p_cls) and held.p_cls.dtype == torch.float16
    before = (tmp_path / next(tmp_path.iterdir()).name / "m_cls.npy").stat().st_mtime_ns
    token_cache(tmp_path, streams, "these", data, shifts=3, reach=4, seed=0)
    assert (tmp_path / next(tmp_path.iterdir()).name / "m_cls.npy").stat().st_mtime_ns == before, "computed twice"


def test_two_machines_that_no_lock_reaches_make_the_same_cache(demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them reads by then is not taken from under it by the other."""
    from policy.training import cache as made

    data, really, inodes = load_demos(demos, 2, chunk=4), made._fill, {}
    streams = TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2).eval()
    monkeypatch.setattr(made, "owned", lambda folder, **_: contextlib.nullcontext(Path(folder)))

    def make() -> made.TokenCache:
        return token_cache(tmp_path, streams, "these", data, shifts=1, reach=4, seed=0)

    def meanwhile(*given: Any) -> None:
        monkeypatch.setattr(made, "_fill", really)
        make()
        inodes.update({path: path.stat().st_ino for path in tmp_path.rglob("*.npy")})
        really(*given)

    monkeypatch.setattr(made, "_fill", meanwhile)
    assert make().shifts == 1
    assert len(inodes) == 4 and inodes == {path: path.stat().st_ino for path in tmp_path.rglob("*.npy")}
    assert not list(tmp_path.rglob("*.tmp"))


def test_tokens_in_bf16_are_kept_apart_and_close(demos: Path, tmp_path: Path) -> None:
    data = load_demos(demos, 2, chunk=4)
    torch.manual_seed(0)
    streams = TwoStreamEncoder(size=SIZE, dim=64, depth=1, heads=2).eval()
    plain, rounded = (token_cache(tmp_path, streams, "these", data, shifts=1, reach=4, seed=0, precision=precision) for precision in ("fp32", "bf16"))
    assert len(list(tmp_path.glob("*/index.json"))) == 2
    for name, exact in plain.arrays.items():
        apart = np.abs(exact.astype(np.float32) - rounded.arrays[name])
        assert 0 < apart.mean() < 0.01 * np.std(exact.astype(np.float32)), name


@pytest.mark.parametrize("changes", [{}, {"encoder": "avg_early"}, {"encoder": "cnn_keypoints"}, {"unfreeze": True}])
def test_training_writes_a_checkpoint_that_loads(demos: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    out = finetune(settings(demos, tmp_path / "out", **changes))
    loaded = checkpoint.load(out)
    assert loaded.config["training"]["start_hashes"] == [f"{i:016x}" for i in range(3)]
    assert loaded.policy.config.encoder == changes.get("encoder", "pixelwise")


@pytest.mark.parametrize("encoder", ["pixelwise", "cnn_avg"])
def test_held_out_demonstrations_are_measured_and_teach_nothing(demos: Path, tmp_path: Path, encoder: str) -> None:
    """The figure is what the loaded policy does on the episode after the first two, and the weights are those of a run without it."""
    told = finetune(settings(demos, tmp_path / "told", num_demos=2, held_out=1, encoder=encoder))
    plain = finetune(settings(demos, tmp_path / "plain", num_demos=2, encoder=encoder))
    assert (told / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    loaded = checkpoint.load(told)
    unseen = load_demos(demos, 1, 8, after=load_demos(demos, 2, 8))
    np.testing.assert_array_equal(unseen.frames, load_demos(demos, 3, 8).frames[-7:])
    pair = torch.from_numpy(np.stack([unseen.frames[unseen.previous], unseen.frames], axis=2))  # (t, c, 2, h, w, 3)
    proprio = torch.from_numpy(loaded.normalisation["proprio"].normalise(unseen.proprio))
    with torch.no_grad():
        said = loaded.policy(pair, proprio, bag_of_words(unseen.instructions[0]).expand(len(unseen), -1))[:, 0]
    error = np.abs(said.numpy() - unseen.chunks[:, 0]).mean(axis=0)
    told_of = loaded.config["training"]
    assert told_of["held_out_error_by_number"] == pytest.approx(error, abs=0.01)
    assert told_of["held_out_error"] == pytest.approx(error.mean(), abs=0.003)
    median = np.median(load_demos(demos, 2, 8).chunks[:, 0], axis=0)
    assert told_of["held_out_error_by_number_of_median"] == pytest.approx(np.abs(unseen.chunks[:, 0] - median).mean(axis=0), abs=1e-4)
    assert "held_out_error" not in checkpoint.load(plain).config["training"]


@pytest.mark.parametrize("changes", [{"m_dropout": 0.5}, {"memory": 3, "camera_dropout": 0.3}], ids=["plain", "memory"])
def test_an_interrupted_run_ends_with_the_same_weights(changes: dict[str, Any], demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finetune(settings(demos, tmp_path / "whole", **changes))
    with interrupted(monkeypatch):
        finetune(settings(demos, tmp_path / "broken", **changes))
    assert not (tmp_path / "broken" / "config.json").exists()
    again = finetune(settings(demos, tmp_path / "broken", **changes))
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"encoder": "pixelwize"}, "did you mean pixelwise?"),
        ({"num_demos": 0}, "num_demos=0: must be at least 1"),
        ({"num_demos": 4}, "holds 3 episodes, num_demos=4"),
        ({"num_demos": 2, "held_out": 2}, "holds 3 episodes, num_demos=2 held_out=2"),
        ({"task": "pick_at_yx"}, "did you mean pick_at_xy?"),
        ({"demos": "nowhere"}, "nowhere"),
        ({"streams": "nowhere"}, "nowhere"),
        ({"m_dropout": 1.5}, "m_dropout=1.5"),
    ],
)
def test_bad_input_is_refused(demos: Path, tmp_path: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        finetune(settings(demos, tmp_path / "out", **words))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_refusals_wait_for_no_torch(demos: Path) -> None:
    """Under load its import alone takes longer than a user should wait for "no such file"."""
    program = "import sys, runpy\ntry: runpy.run_module('policy.finetune', run_name='__main__')\nfinally: print('torch' in sys.modules)"
    for words in (["num_demos=4"], ["streams=nowhere", "num_demos=3"], ["task=stack_centered", "num_demos=3"]):
        task = [] if any(word.startswith("task=") for word in words) else ["task=pick_at_xy"]
        done = subprocess.run([sys.executable, "-c", program, *task, f"demos={demos}", *words], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stdout.strip() == "False", words


def test_other_settings_in_the_same_folder_are_refused(demos: Path, tmp_path: Path) -> None:
    finetune(settings(demos, tmp_path / "out"))
    with pytest.raises(BadInput, match="other settings"):
        finetune(settings(demos, tmp_path / "out", lr=0.5))


def test_a_training_that_diverges_is_stopped_where_it_does(demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "schedule", lambda step, steps: float("nan"))  # of the learning rate
    with pytest.raises(Failed, match="stopped in step 2: the loss is not finite"):
        finetune(settings(demos, tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_demonstrations_of_several_seeds_go_together(tmp_path: Path) -> None:
    write_episode(tmp_path / "episode_0.hdf5", episode(6, 0))
    write_episode(tmp_path / "episode_1.hdf5", episode(6, 1, seed=5))
    assert load_demos(tmp_path, 2, 4).starts == ((0, 0), (5, 1))


def test_a_policy_of_multiplied_demonstrations_says_of_how_many_they_were_made(tmp_path: Path) -> None:
    """Tables tell them apart by it; and where the sources began, the policy is not evaluated either."""
    originals = [{"file": f"episode_{i}.hdf5", "sha256": f"{i:064x}", "seed": 9, "episode": i, "init_hash": f"{90 + i:016x}"} for i in range(4)]
    segments = [{"source": 1, "about": "target", "steps": [0, 5]}]
    for i in range(3):
        made = {"originals": originals, "segments": segments, "select": "nearest"}
        write_episode(tmp_path / "demos" / f"episode_{i}.hdf5", episode(6, i, source="multiplied", multiplied=made))
    out = finetune(settings(tmp_path / "demos", tmp_path / "out", encoder="cnn_avg", steps=1))
    recorded = read_json(out / "config.json")["training"]
    assert (recorded["num_demos"], recorded["multiplied_from"]) == (3, 4)
    assert recorded["start_hashes"] == [*(f"{i:016x}" for i in range(3)), *(f"{90 + i:016x}" for i in range(4))]
    assert recorded["demo_starts"] == [[0, 0], [0, 1], [0, 2], [9, 0], [9, 1], [9, 2], [9, 3]]
    assert "* multiplied_from: 4\n" in (out / "README.md").read_text()
    player = prepare(parse("eval.conf", "run", EvalSettings, ["task=pick_at_xy", f"checkpoint={out}"]))
    row = player.row({"task": "pick_at_xy", "version": "0", "seed": 0, "episode": 0, "init_hash": "0", "success": True, "position_error_cm": 1.0})
    assert (row["num_demos"], row["multiplied_from"]) == (3, 4)


def test_mixed_demonstrations_are_refused(tmp_path: Path) -> None:
    write_episode(tmp_path / "episode_0.hdf5", episode(6, 0))
    write_episode(tmp_path / "episode_1.hdf5", episode(6, 1, rendering="exact"))
    with pytest.raises(BadInput, match="rendering=exact, but the episodes before it have rendering=fast"):
        load_demos(tmp_path, 2, 4)


def play(folder: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (6, 5, SIZE, SIZE, 3), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "frames.npy", frames)
    return folder


def test_static_pairs_are_the_same_picture_and_the_share_is_what_was_asked_for(tmp_path: Path) -> None:
    clips = Clips(play(tmp_path))
    now, later = clips.pairs(seed=0, step=3, batch=2000, static=0.3, max_gap=3)
    same = (now == later).all(axis=(1, 2, 3))
    assert 0.26 < same.mean() < 0.34
    again = clips.pairs(seed=0, step=3, batch=2000, static=0.3, max_gap=3)
    np.testing.assert_array_equal(now, again[0])
    as_float = torch.from_numpy(now[same][:4].copy()).permute(0, 3, 1, 2).float() / 255
    assert (m_channels(as_float, as_float) == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["policy.finetune", "policy.pretrain"])
def test_killed_ten_times_the_weights_are_those_of_an_uninterrupted_run(module: str, demos: Path, tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        if module == "policy.finetune":
            given = dataclasses.asdict(settings(demos, out, steps=400))
            words = [f"{key}={spelled(value)}" for key, value in given.items() if value is not None]
        else:
            words = [f"data={play(tmp_path / 'play')}", f"out={out}", "steps=200", "batch=4", "dim=64", "depth=1", "heads=2", "save_every=5", "num_threads=1"]
        return [sys.executable, "-m", module, *words]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    chance = random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(2, 9))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    whole, killed = (next((tmp_path / name).rglob("model.safetensors")) for name in ("whole", "killed"))
    first, second = load_file(whole), load_file(killed)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
