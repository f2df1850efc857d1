"""`python -m eval.run`: refusals within seconds and without a simulator; the real thing, interrupted and resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eval import run
from eval.playing import prepare
from eval.playing.identity import identity as identity_of
from eval.playing.progress import Progress, duration
from eval.results import add_row, load_rows, summary
from eval.run import Settings
from whatwhere.command import parse
from whatwhere.errors import BadInput

# Runs the command of its arguments, then names on stdout what heavy modules were imported.
WATCHED = """
import runpy, sys
try:
    runpy.run_module("eval.run", run_name="__main__")
finally:
    print("heavy:", {"torch", "mujoco", "robosuite"} & set(sys.modules))
"""


def settings(*words):
    return parse("eval.conf", "run", Settings, list(words))


def row(episode, **more):
    return {
        "task": "pick_at_xy", "version": "0", "seed": 200000, "episode": episode, "init_hash": f"{episode:x}", "success": True, "failure": None,
        "position_error_cm": 0.5, "is_relation_correct": None, "steps": 30, "wall_s": 1.0, "video": None, "policy": "expert", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=pick_at_xz"], r"did you mean pick_at_xy\?"),
        ([], "task: missing"),
        (["task=pick_at_xy", "encoder=pixelwize"], r"did you mean pixelwise\?"),
        (["task=pick_at_xy", "policy=expart"], r"did you mean expert\?"),
        (["task=pick_at_xy", "episode=3"], r"did you mean episodes\?"),
        (["task=pick_at_xy", "episodes=-3"], "episodes=-3: must be at least 1"),
        (["task=pick_at_xy", "episodes=0"], "episodes=0"),
        (["task=pick_at_xy", "episodes=many"], "needs a whole number"),
        (["task=pick_at_xy", "episodes=2.5"], "needs a whole number"),
        (["task=pick_at_xy", "num_envs=0"], "num_envs=0"),
        (["task=pick_at_xy", "seed=-1"], "seed=-1"),
        (["task=pick_at_xy", "seed=9999999999"], "at most 2147483647"),
        (["task=pick_at_xy", "video=some"], "needs a whole number, at least 0, .*, or failures"),
        (["task=pick_at_xy", "video=-1"], "needs a whole number, at least 0, .*, or failures"),
        (["task=pick_at_xy", "video=true"], "needs a whole number, at least 0, .*, or failures"),
        (["task=pick_at_xy", "device=gpu"], "device=gpu"),
        (["task=pick_at_xy", "rendering=quick"], "rendering=quick"),
        (["task=pick_at_xy", "timeout_s=0"], "timeout_s=0"),
        (["task=pick_at_xy", "timeout_s=nan"], "timeout_s=nan"),
        (["task=pick_at_xy", "size=4"], "size=4"),
        (["task=pick_at_xy", "policy=expert", "checkpoint=x"], "policy=expert has none"),
        (["task=pick_at_xy", "allow=[everything]"], "allow=everything"),
        (["task=pick_at_xy", "execute=0"], "execute=0"),
        (["task=pick_at_xy", "policy=expert", "execute=2"], "predicts no chunks"),
        (["task=pick_at_xy", "inference=fp16"], r"inference=fp16: unknown; valid: auto, plain, bf16, FILE\.onnx"),
        (["task=pick_at_xy", "policy=expert", "inference=bf16"], "policy=expert computes no answers"),
        (["task=pick_at_xy", "inference=x.onnx", "device=cuda"], "runs on the processor"),
        (["task=pick_at_xy", "queries=mine"], "queries=mine: unknown; valid: own, batched"),
        (["task=pick_at_xy", "queries=batched", "policy=expert"], "^queries=batched: policy=expert computes no answers"),
        (["task=pick_at_xy", "queries=batched", "inference=bf16"], "^inference=bf16: queries=batched computes in fp32"),
        (["task=pick_at_xy", "queries=batched", "inference=x.onnx"], r"^inference=x\.onnx: queries=batched computes in fp32"),
        (["task=pick_at_xy", "queries=batched", "goal=picture"], "^goal=picture: needs the policy in each worker"),
        (["task=pick_at_xy", "queries=batched", "decoder=outputs/streams"], "^decoder=outputs/streams: needs the policy in each worker"),
    ],
)
def test_bad_settings(words, message):
    with pytest.raises(BadInput, match=message):
        settings(*words)


def test_the_yaml_and_the_settings_agree():
    given = settings("task=pick_at_xy")
    assert (given.episodes, given.seed, given.num_envs, given.video, given.policy, given.device) == (100, 200000, None, 3, "learned", "auto")
    assert settings("task=pick_at_xy", "video=failures").video == "failures"
    assert settings("task=pick_at_xy", "allow=[rendering]").allow == ["rendering"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny policy with random weights that says it was trained on episodes of seed 7."""
    from policy.config import PolicyConfig
    from policy.model import build
    from policy.storage.checkpoint import save_pretrained
    from policy.transforms import Affine

    config = PolicyConfig(encoder="cnn_avg", proprio_dim=10)
    normal = {"proprio": config.proprio_dim, "actions": config.action_dim}
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    training = {"task_version": "0", "rendering": "fast", "train_seed": 3, "demo_starts": [[7, 0], [7, 1], [7, 4]], "start_hashes": ["00ff"]}
    identity = {key: Affine(np.zeros(dim, np.float32), np.ones(dim, np.float32)) for key, dim in normal.items()}
    return save_pretrained(build(config), folder, task="pick_at_xy", normalisation=identity, training=training)


def test_a_checkpoint_says_what_is_evaluated(checkpoint):
    player = prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}"))
    assert (player.encoder, player.train_seed, player.rendering, player.size, player.frame_gap) == ("cnn_avg", 3, "fast", 96, 4)
    assert player.trained_on == {"00ff"}
    assert player.sha256 is not None
    assert player.out == f"outputs/eval/pick_at_xy_cnn_avg_{player.sha256[:8]}_seed200000_n100"
    assert not prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}", "allow=[training_start]", "seed=7")).trained_on


def test_the_task_is_the_checkpoint_s_unless_it_knows_several(checkpoint, monkeypatch):
    assert prepare.prepare(settings(f"checkpoint={checkpoint}")) == prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}"))
    with pytest.raises(BadInput, match="task: missing"):
        settings("policy=expert", f"checkpoint={checkpoint}")
    several = SimpleNamespace(config={"task": "pick_at_xy+stack_centered", "training": {"tasks": {"pick_at_xy": "1", "stack_centered": "1"}}})
    monkeypatch.setattr("policy.storage.stored.verify", lambda _: several)
    with pytest.raises(BadInput, match=f"^task: missing; {checkpoint} knows pick_at_xy, stack_centered: give task= one of them$"):
        prepare.prepare(settings(f"checkpoint={checkpoint}"))


def test_how_many_actions_are_executed_is_part_of_an_evaluation(checkpoint):
    plain, other = (settings("task=pick_at_xy", f"checkpoint={checkpoint}", *more) for more in ([], ["execute=4"]))
    first, second = prepare.prepare(plain), prepare.prepare(other)
    assert (first.execute, second.execute) == (1, 4)
    assert first.out != second.out
    assert identity_of(plain, first) != identity_of(other, second)
    assert run.about(other, second)["execute"] == 4


def test_how_answers_are_computed_is_part_of_an_evaluation(checkpoint):
    """Only where it was chosen: folders of earlier versions, which do not say it, are carried on."""
    auto, plain = (settings("task=pick_at_xy", f"checkpoint={checkpoint}", *more) for more in ([], ["inference=plain"]))
    first, second = prepare.prepare(auto), prepare.prepare(plain)
    assert (first.inference, second.inference) == ("auto", "plain") and second.out == f"{first.out}_plain"
    assert "inference" not in identity_of(auto, first) and identity_of(plain, second)["inference"] == "plain"


def test_who_answers_is_part_of_an_evaluation(checkpoint, tmp_path):
    own, batched = (settings("task=pick_at_xy", f"checkpoint={checkpoint}", *more) for more in ([], ["queries=batched"]))
    first, second = prepare.prepare(own), prepare.prepare(batched)
    assert (second.queries, second.inference, second.out) == ("batched", "plain", f"{first.out}_batched")
    mine, theirs = identity_of(own, first), identity_of(batched, second)
    assert "queries" not in mine and theirs["queries"] == "batched"
    for name, there, now, change in (("own", mine, theirs, "None, now queries='batched'"), ("batched", theirs, mine, "'batched', now queries=None")):
        (tmp_path / name).mkdir()
        run.claim(tmp_path / name, {"kind": "evaluation"} | there)
        with pytest.raises(BadInput, match=rf"holds results of other settings \(queries={change}\); choose another out="):
            run.claim(tmp_path / name, {"kind": "evaluation"} | now)
    assert summary([row(0), row(1, queries="batched")], {})["queries"] == "batched"  # the first was lost
    assert "queries" not in summary([row(0)], {})


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        ([], "auto"),
        ([{"inference": "bf16"}], "bf16"),
        ([{}], "plain"),  # of an earlier version
        ([{"failure": "worker_killed"}], "auto"),
        ([{"failure": "worker_killed"}, {"inference": "bf16"}], "bf16"),
    ],
)
def test_a_folder_is_carried_on_as_it_was_begun(checkpoint, tmp_path, rows, way):
    player = prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}", f"out={tmp_path}"))
    for episode, more in enumerate(rows):
        add_row(tmp_path, row(episode, **more))
    assert run.as_before(player).inference == way
    chosen = prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}", f"out={tmp_path}", "inference=plain"))
    assert run.as_before(chosen).inference == "plain"


def test_the_results_say_how_answers_were_computed():
    assert summary([row(0, inference="bf16"), row(1, inference="bf16")], {})["inference"] == "bf16"
    assert summary([row(0, inference="bf16"), row(1, inference="plain")], {})["inference"] == "bf16, plain"
    assert "inference" not in summary([row(0)], {})


def test_an_exported_file_must_be_of_the_checkpoint(checkpoint, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"onnx")
    listed = {"bytes": 4, "sha256": hashlib.sha256(b"onnx").hexdigest()}
    words = ("task=pick_at_xy", f"checkpoint={checkpoint}", f"inference={tmp_path / 'a.onnx'}")
    with pytest.raises(BadInput, match=r"a\.onnx\.json: no such file"):
        prepare.prepare(settings(*words))
    for sha256, message in (("0" * 64, "made of the weights 0000000000000000, not of"), (None, None)):
        sha256 = sha256 or prepare.prepare(settings(*words[:2])).sha256
        (tmp_path / "a.onnx.json").write_text(json.dumps({"format": 1, "sha256": sha256, "file": listed}))
        if message:
            with pytest.raises(BadInput, match=message):
                prepare.prepare(settings(*words))
    player = prepare.prepare(settings(*words))
    assert player.exported == f"onnx {listed['sha256'][:16]}" and identity_of(settings(*words), player)["inference"] == player.exported
    (tmp_path / "a.onnx").write_bytes(b"ONNX")
    with pytest.raises(BadInput, match=r"a\.onnx: sha256 .* damaged or replaced"):
        prepare.prepare(settings(*words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=stack_centered"], "made for task=pick_at_xy"),
        (["task=pick_at_xy", "encoder=pixelwise"], "its encoder is cnn_avg"),
        (["task=pick_at_xy", "rendering=exact"], "trained on rendering=fast"),
        (["task=pick_at_xy", "size=64"], "pictures of 96 × 96"),
        (["task=pick_at_xy", "execute=9"], "must be 1 to 8"),
        (["task=pick_at_xy", "seed=7"], "trained on demonstrations of this seed, episode 0"),
        (["task=pick_at_xy", "seed=7", "first=2", "episodes=3"], "episode 4 of it"),
    ],
)
def test_what_a_checkpoint_refuses(checkpoint, words, message):
    with pytest.raises(BadInput, match=message):
        prepare.prepare(settings(*words, f"checkpoint={checkpoint}"))


def test_other_starts_and_allowed_mixes_pass(checkpoint):
    assert prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}", "seed=7", "first=5")).seed == 7
    assert prepare.prepare(settings("task=pick_at_xy", f"checkpoint={checkpoint}", "rendering=exact", "allow=[rendering]")).rendering == "exact"


def damage(folder, how):
    model = folder / "model.safetensors"
    data = bytearray(model.read_bytes())
    if how == "missing":
        model.unlink()
        return
    if how == "truncated":
        del data[-100:]
    elif how == "flipped":
        data[-50] ^= 1
    else:
        data[:] = b"\x80\x04pickle"
    model.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "truncated", "flipped", "pickle"])
def test_damaged_weights(checkpoint, tmp_path, how):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in checkpoint.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    damage(copy, how)
    with pytest.raises(BadInput, match=r"model\.safetensors"):
        prepare.prepare(settings("task=pick_at_xy", f"checkpoint={copy}"))


@pytest.mark.parametrize(
    "words",
    [
        ["task=pick_at_xy", "encoder=nothing"],
        ["task=pick_at_xy", "encoder=cnn_avg", "checkpoint=no_such_place"],
        ["task=pick_at_xy", "checkpoint={checkpoint}", "seed=7"],
        ["task=pick_at_xy", "policy=expert", "out={full}"],
    ],
)
def test_refusals_are_one_line_and_quick(checkpoint, tmp_path, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "settings.json").write_text('{"task": "stack_centered"}')
    words = [word.format(checkpoint=checkpoint, full=tmp_path / "full") for word in words]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, cwd=Path(run.__file__).parents[1])
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == "heavy: set()\n"
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 15, "5 s on a quiet machine"


def test_another_mujoco(monkeypatch):
    monkeypatch.setattr("whatwhere.versions.installed", lambda name: "3.12.0")
    with pytest.raises(BadInput, match=r"mujoco: found 3\.12\.0, needs exactly"):
        prepare.prepare(settings("task=pick_at_xy", "policy=expert"))


def test_default_folders_differ_with_the_settings():
    base = ["task=pick_at_xy", "policy=expert"]
    others = [["seed=1"], ["episodes=5"], ["first=1"], ["rendering=exact"], ["size=64"], ["device=cpu"], ["policy=zero"], ["task=stack_centered"]]
    folders = [prepare.prepare(settings(*{word.split("=")[0]: word for word in [*base, *more]}.values())).out for more in ([], *others)]
    assert len(set(folders)) == len(folders)
    for more in (["num_envs=4"], ["video=0"], ["timeout_s=60"]):  # nothing that rows depend on
        assert prepare.prepare(settings(*base, *more)).out == folders[0]


@pytest.fixture
def fake_play(monkeypatch):
    """Workers that answer at once with made-up rows; what they were asked for is in the list."""
    asked = []

    def play_all(episodes, build, num_envs, on_row, *rest, **more):
        for episode in episodes:
            asked.append(episode)
            if episode == 13:
                raise KeyboardInterrupt
            on_row(row(episode))

    monkeypatch.setattr(run, "play_all", play_all)
    return asked


def test_a_run_is_resumed(tmp_path, fake_play, capsys):
    given = settings("task=pick_at_xy", "policy=expert", "video=0", "episodes=4", f"out={tmp_path}")
    add_row(tmp_path, row(1))
    (tmp_path / "episodes.jsonl").open("a").write('{"torn')
    run.main(given)
    assert fake_play == [0, 2, 3]
    assert [one["episode"] for one in load_rows(tmp_path)] == [0, 1, 2, 3]
    assert (tmp_path / "episodes.jsonl").read_text().count("\n") == 4, "the torn line is gone"
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["episodes"] == 4
    assert results["command"].startswith("python -m eval.run task=pick_at_xy policy=expert episodes=4")
    assert {"table.csv", "table.tex"} <= {path.name for path in tmp_path.iterdir()}
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "success 1.000 [0.510, 1.000] · position error 0.50 cm (median) · 4 episodes"
    assert "1 of them are there already" in out
    assert "· 4 episodes of seed 200000 · 1 process on " in out.splitlines()[0]
    before = (tmp_path / "episodes.jsonl").read_bytes()
    run.main(given)
    assert fake_play == [0, 2, 3], "nothing is played twice"
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_other_settings_are_refused(tmp_path, fake_play):
    words = ["task=pick_at_xy", "policy=expert", "video=0", "episodes=2", f"out={tmp_path}"]
    run.main(settings(*words))
    run.main(settings(*words, "num_envs=2"))
    with pytest.raises(BadInput, match="seed=200000, now seed=1"):
        run.main(settings(*words, "seed=1"))
    with pytest.raises(BadInput, match="episodes=2, now episodes=3"):
        run.main(settings(*[word for word in words if "episodes" not in word], "episodes=3"))


def test_a_missing_trajectory_is_played_again(tmp_path, fake_play):
    words = ["task=pick_at_xy", "policy=expert", "video=0", "episodes=2", f"out={tmp_path}"]
    run.main(settings(*words))
    run.main(settings(*words, "trajectories=true"))
    assert fake_play == [0, 1, 0, 1]


def test_an_interrupted_run_keeps_its_rows(tmp_path, fake_play):
    given = settings("task=pick_at_xy", "policy=expert", "video=0", "episodes=20", f"out={tmp_path}")
    with pytest.raises(KeyboardInterrupt):
        run.main(given)
    assert len(load_rows(tmp_path)) == 13


def test_progress():
    two = Progress(100, [], workers=2)
    two.done, two.successes[0] = 1, True
    assert two.line(row(0), 10.0).endswith(f"· {duration(10 / 1.5 * 98.5)} left"), "the other process has played half an episode"
    progress = Progress(4, [row(0), row(1, success=False)])
    progress.done = 1
    progress.successes[2] = True
    line = progress.line(row(2), 20.0)
    assert line.startswith("  [1/4] episode 2    success     0.50 cm    30 steps")
    assert line.endswith("success so far 0.667 · 1 min 0 s left")
    assert "failed (worker_killed)" in progress.line(row(2, success=False, failure="worker_killed", position_error_cm=None), 1.0)
    assert [duration(s) for s in (5, 65, 7500)] == ["5 s", "1 min 5 s", "2 h 5 min"]


def test_the_time_left_does_not_count_the_start(capsys, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 100.0)  # the workers took 99 s to start
    Progress(3, []).show(row(0, wall_s=1.0, steps=1))
    assert capsys.readouterr().out.endswith("     1 step  · success so far 1.000 · 2 s left\n")


def test_as_many_processes_as_cores_where_there_is_enough_to_play(monkeypatch):
    monkeypatch.setattr(run, "usable_cores", lambda: 4)
    assert [run.processes(None, todo) for todo in (1, 4, 5, 12, 100)] == [1, 1, 2, 3, 4]
    assert [run.processes(asked, 3) for asked in (1, 7)] == [1, 7], "what was asked for holds"
    monkeypatch.setattr(run, "usable_cores", lambda: 256)
    assert run.processes(None, 10**6) == run.MOST


def strip(rows):
    return [{key: value for key, value in one.items() if key not in ("wall_s", "video")} for one in rows]


def evaluate(out, *words):
    argv = [sys.executable, "-m", "eval.run", "task=pick_at_xy", "seed=150000", f"out={out}", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=Path(run.__file__).parents[1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rows_of_the_real_thing(checkpoint, tmp_path):
    """A learned policy: the same rows from one worker, two, four, and for a part of the episodes."""
    learned = f"checkpoint={checkpoint}"
    done = evaluate(tmp_path / "one", learned, "episodes=4", "video=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("success 0.")
    rows = load_rows(tmp_path / "one")
    assert len(rows) == 4 and {one["inference"] for one in rows} == {"plain"}, "an encoder without streams"
    assert (tmp_path / "one" / rows[0]["video"]).stat().st_size > 10_000
    for name, words in {"two": ["num_envs=2"], "four": ["num_envs=4", "video=0"]}.items():
        assert evaluate(tmp_path / name, learned, "episodes=4", *words).returncode == 0
        assert strip(load_rows(tmp_path / name)) == strip(rows)
    assert evaluate(tmp_path / "part", learned, "episodes=2", "first=2", "video=0").returncode == 0
    assert strip(load_rows(tmp_path / "part")) == strip(rows[2:])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_ten_times_loses_nothing(tmp_path):
    words = ["policy=random", "episodes=12", "video=0"]
    argv = [sys.executable, "-m", "eval.run", "task=pick_at_xy", "seed=150000", *words, f"out={tmp_path / 'killed'}"]
    chance, kept = random.Random(0), []
    for _ in range(10):
        process = subprocess.Popen(argv, cwd=Path(run.__file__).parents[1], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(1, 12))
        process.kill()
        process.wait()
        rows = load_rows(tmp_path / "killed")
        assert strip(rows)[: len(kept)] == kept, "a finished episode was lost or changed"
        kept = strip(rows)
    done = evaluate(tmp_path / "killed", *words)
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of them are there already" in done.stdout or not kept
    assert evaluate(tmp_path / "whole", *words).returncode == 0
    assert strip(load_rows(tmp_path / "killed")) == strip(load_rows(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_start_of_the_training_is_refused_by_its_hash(checkpoint, tmp_path):
    start = load_rows_of_expert(tmp_path / "expert")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    config = json.loads((copy / "config.json").read_text())
    config["training"]["start_hashes"] = [start]
    (copy / "config.json").write_text(json.dumps(config))
    done = evaluate(tmp_path / "refused", f"checkpoint={copy}", "episodes=1", "video=0")
    assert done.returncode == 2
    assert start in done.stderr


def load_rows_of_expert(out):
    assert evaluate(out, "policy=expert", "episodes=1", "video=0").returncode == 0
    return load_rows(out)[0]["init_hash"]


def test_settings_are_all_in_the_yaml():
    text = (Path(run.__file__).parent / "conf" / "run.yaml").read_text()
    assert [line.split(":")[0] for line in text.splitlines()] == [field.name for field in dataclasses.fields(Settings)]
