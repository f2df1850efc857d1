"""A policy that leaves: as a graph, as a file, with its description, and that it answers as the original does."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.demos.episodes import write_episode
from policy.agent import Agent
from policy.encoders import ENCODERS
from policy.export import FORMATS, check
from policy.export import __main__ as command
from policy.export.__main__ import Settings, main
from policy.export.graph import output_shapes, traced
from policy.export.numbers import NUMBERS, numbers
from policy.export.record import verified
from policy.heads import HEADS
from policy.language.bag import bag_of_words
from policy.model import build
from policy.storage.checkpoint import load, save_pretrained
from policy.storage.stored import names, read_config
from policy.transforms import Affine
from tests.policy.small import PROPRIO, awake, config, observation
from tests.policy.test_finetune import episode
from whatwhere.errors import BadInput, Failed
from whatwhere.settings import parse

ROOT = Path(__file__).resolve().parents[2]
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
NORMALISATION = {
    "proprio": Affine(np.linspace(-1, 1, PROPRIO, dtype=np.float32), np.full(PROPRIO, 0.5, np.float32)),
    "actions": Affine(np.full(7, 0.1, np.float32), np.full(7, 0.8, np.float32)),
}


def settings(*words: str) -> Settings:
    return parse("policy.conf", "export", Settings, list(words))


def needs(to: str) -> None:
    if to == "onnx" and not HAS_ONNX:
        pytest.skip("needs the extra onnx: pip install 'whatwhere[onnx]'")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy whose actions move, on disk."""
    torch.manual_seed(0)
    policy: Any = build(config())
    with torch.no_grad():
        policy.head.act[-1].weight.mul_(30)
    training = {"task_version": "0", "control_hz": 20}
    return save_pretrained(policy, tmp_path_factory.mktemp("checkpoint"), task="pick_at_xy", normalisation=NORMALISATION, training=training)


@pytest.mark.parametrize(("encoder", "head"), [*((encoder, "l1") for encoder in ENCODERS), *(("pixelwise", head) for head in HEADS if head != "l1")])
def test_every_policy_is_a_graph(encoder: str, head: str) -> None:
    """No branch may depend on what is seen; noise is an input where the head draws, and nowhere else."""
    torch.manual_seed(0)
    policy = awake(build(config(encoder, head=head, m_dropout=0.5, binary=((6, -1.0, 1.0),) if head == "binary" else ()))).eval()
    program = traced(policy, NORMALISATION)
    assert len(program.graph_signature.user_inputs) == 3 + (policy.head.noise > 0)
    agent = Agent(policy, NORMALISATION, execute=policy.config.chunk)
    run: Any = program.module()
    for seed in range(3):
        obs = observation(seed)
        agent.reset(seed)
        inputs = (obs["frames"], obs["proprio"], bag_of_words(obs["instruction"]).numpy(), agent.noise())
        with torch.no_grad():
            outputs = run(*(torch.from_numpy(value)[None] for value in inputs if value is not None))
        assert np.abs(outputs[0][0].numpy() - agent.act(obs)).max() < 1e-5
        assert [list(value.shape) for value in outputs] == output_shapes(program)


@pytest.mark.parametrize("encoder", ["pixelwise", "avg_late", "cnn_keypoints"])
def test_shipped_policies_can_be_exported_by_torch_itself(encoder: str) -> None:
    policy = load(f"pick_at_xy/{encoder}").policy
    c = policy.config
    inputs = (torch.zeros(1, len(c.cameras), 2, c.size, c.size, 3, dtype=torch.uint8), torch.zeros(1, c.proprio_dim), torch.zeros(1, 64))
    with torch.no_grad():
        assert torch.allclose(torch.export.export(policy, inputs).module()(*inputs), policy(*inputs), atol=1e-5)


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_and_its_description(to: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs(to)
    main(settings(f"checkpoint={checkpoint}", f"to={to}", f"out={tmp_path}", "observations=5"))
    suffix = {"onnx": ".onnx", "torch": ".pt2"}[to]
    path = tmp_path / f"policy{suffix}"
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}.json"]
    assert "5 random observations" in capsys.readouterr().out
    about = json.loads((tmp_path / f"{path.name}.json").read_text())
    assert list(about["inputs"]) == ["frames", "proprio", "task"] and about["head"] == "l1"
    assert verified(path, about["sha256"])["file"].get("bytes") == path.stat().st_size
    assert about["check"]["largest_difference"] <= 1e-5 < about["check"]["bound"]
    assert about["inputs"]["frames"]["shape"] == [1, 2, 2, 32, 32, 3] and about["inputs"]["frames"]["frame_gap"] == 4
    assert about["inputs"]["frames"]["cameras"] == ["agentview", "robot0_eye_in_hand"] and about["control_hz"] == 20
    assert about["outputs"]["actions"]["shape"] == [1, 8, 7] and len(about["outputs"]["actions"]["numbers"]) == 7
    assert about["outputs"]["keypoints"]["shape"] == [1, 2, 8, 2] and about["outputs"]["attention"]["shape"] == [1, 2, 8, 16]
    assert about["normalisation"]["actions"]["shift"] == pytest.approx([0.1] * 7)
    example = about["inputs"]["task"]["example"]
    assert np.allclose(bag_of_words(example["instruction"]).numpy(), example["value"])
    if to == "torch":
        with zipfile.ZipFile(path) as archive:
            assert not [item for item in archive.infolist() if item.filename.endswith((".pt", ".pkl")) and item.file_size]  # no pickle in it
            assert any(name.endswith("whatwhere.json") for name in archive.namelist())


@pytest.mark.parametrize("to", FORMATS)
def test_a_head_that_draws_takes_its_noise_from_outside(to: str, tmp_path: Path) -> None:
    needs(to)
    torch.manual_seed(0)
    place = save_pretrained(awake(build(config("cnn_avg", head="flow"))), tmp_path / "flow", task="pick_at_xy", normalisation=NORMALISATION, training={})
    main(settings(f"checkpoint={place}", f"to={to}", f"out={tmp_path / 'out'}", "observations=4"))
    (told,) = (tmp_path / "out").glob("*.json")
    about = json.loads(told.read_text())
    assert about["check"]["largest_difference"] <= 5e-5 and about["head"] == "flow"
    assert list(about["inputs"]) == ["frames", "proprio", "task", "noise"] and about["inputs"]["noise"]["shape"] == [1, 56]
    if to == "onnx":
        agents = [Agent.from_pretrained(place, "cpu", inference=way) for way in ("plain", tmp_path / "out/policy.onnx")]
        for agent in agents:
            agent.reset([3, 4])
        for seed in range(3):
            one, other = (agent.act(observation(seed)) for agent in agents)
            assert np.allclose(one, other, atol=1e-4)


def test_the_exported_file_acts_in_an_agent(checkpoint: Path, tmp_path: Path) -> None:
    needs("onnx")
    file = tmp_path / "small.onnx"
    main(settings(f"checkpoint={checkpoint}", f"out={file}", "observations=1"))
    plain, exported = (Agent.from_pretrained(checkpoint, "cpu", inference=way) for way in ("plain", file))
    for seed in range(3):
        assert np.allclose(plain.act(observation(seed)), exported.act(observation(seed)), atol=1e-5)
    theirs, ours = exported.attention(), plain.attention()
    assert theirs is not None and ours is not None and np.allclose(theirs.keypoints, ours.keypoints, atol=1e-4)
    assert exported.inference == f"onnx {verified(file)['file']['sha256'][:16]}"

    other = save_pretrained(build(config()), tmp_path / "other", task="pick_at_xy", normalisation=NORMALISATION, training={})
    with pytest.raises(BadInput, match="made of the weights"):
        Agent.from_pretrained(other, "cpu", inference=file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BadInput, match="truncated or replaced"):
        Agent.from_pretrained(checkpoint, "cpu", inference=file)
    with pytest.raises(BadInput, match="no such file"):
        Agent.from_pretrained(checkpoint, "cpu", inference=tmp_path / "nowhere.onnx")


def test_int8_is_smaller_and_near(checkpoint: Path, tmp_path: Path) -> None:
    needs("onnx")
    for name, word in (("whole", "int8=true"), ("plain", "int8=false")):
        main(settings(f"checkpoint={checkpoint}", f"out={tmp_path / name}.onnx", "observations=8", word))
    assert (tmp_path / "whole.onnx").stat().st_size < 0.5 * (tmp_path / "plain.onnx").stat().st_size
    about = json.loads((tmp_path / "whole.onnx.json").read_text())
    assert about["weights"] == "int8" and 1e-4 < about["check"]["largest_difference"] <= about["check"]["bound"] == 0.1
    with pytest.raises(BadInput, match="int8=true: not with to=torch"):
        settings(f"checkpoint={checkpoint}", "to=torch", "int8=true")


def test_the_code_of_the_page_runs_without_torch(checkpoint: Path, tmp_path: Path) -> None:
    needs("onnx")
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(block.splitlines()) <= 16
    main(settings(f"checkpoint={checkpoint}", f"out={tmp_path / 'exports/pick'}", "observations=1"))
    lonely = "import sys\nfor name in ('torch', 'policy', 'timm', 'envs', 'whatwhere'):\n    sys.modules[name] = None\n"
    done = subprocess.run([sys.executable, "-c", lonely + block], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = np.array([float(number) for number in done.stdout.replace("[", " ").replace("]", " ").split()])
    obs = {"frames": np.zeros((2, 2, 32, 32, 3), np.uint8), "proprio": np.zeros(PROPRIO, np.float32), "instruction": "pick up the red cube"}
    assert np.allclose(told, Agent.from_pretrained(checkpoint, "cpu", inference="plain").act(obs)[0], atol=1e-4)


def test_it_is_checked_on_what_was_recorded(checkpoint: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_episode(tmp_path / f"demos/episode_{number}.hdf5", episode(6, number))
    main(settings(f"checkpoint={checkpoint}", "to=torch", f"out={tmp_path / 'out'}", f"demos={tmp_path / 'demos'}", "observations=4"))
    told = json.loads((tmp_path / "out/policy.pt2.json").read_text())["check"]
    assert (told["of"], told["observations"]) == ("recorded", 4)
    write_episode(tmp_path / "others/episode_0.hdf5", episode(6, 0, cameras=["left", "right"]))
    with pytest.raises(BadInput, match=r"cameras left, right .* the policy needs agentview, robot0_eye_in_hand"):
        main(settings(f"checkpoint={checkpoint}", "to=torch", f"out={tmp_path / 'out'}", f"demos={tmp_path / 'others'}"))


@pytest.mark.parametrize("wrong", [1.0, float("nan")])
def test_a_file_that_answers_otherwise_is_not_written(wrong: float, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = Agent.chunk
    monkeypatch.setattr(Agent, "chunk", lambda self: chunk(self) + wrong)
    with pytest.raises(Failed, match=r"not written: its actions differ"):
        main(settings(f"checkpoint={checkpoint}", "to=torch", f"out={tmp_path}"))
    assert not list(tmp_path.iterdir())


def test_what_is_told_of_numbers_fits_the_shipped_policies() -> None:
    for name in names():
        stored = read_config(ROOT / "checkpoints" / name)
        if stored["task"] in NUMBERS:
            for what, dim in (("proprio", "proprio_dim"), ("actions", "action_dim")):
                assert len(NUMBERS[stored["task"]][what]) == stored["policy"][dim], name
    assert numbers("robosuite/Lift", "actions", 2) == ["number 0, as robosuite/Lift recorded it", "number 1, as robosuite/Lift recorded it"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["to=torch"], "checkpoint: missing"),
        (["checkpoint=pick_at_xy/pixelwize"], r"did you mean pick_at_xy/pixelwise\?"),
        (["checkpoint=x", "to=onyx"], r"to=onyx: unknown; valid: onnx, torch \(did you mean onnx\?\)"),
        (["checkpoint=x", "observations=0"], "observations=0"),
        (["checkpoint=x", "observations=1000000"], "at most 10000"),
        (["checkpoint=pick_at_xy/pixelwise", "to=torch", "demos=nowhere"], "nowhere"),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        main(settings(*words))


def test_a_missing_extra_is_named_before_anything_is_done(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"to=onnx: needs onnx, onnxscript, onnxruntime, not installed here; run: pip install 'whatwhere\[onnx\]'"):
        main(settings(f"checkpoint={checkpoint}"))


@pytest.mark.parametrize(("to", "name"), [("onnx", "a.pt2"), ("torch", "a.onnx")])
def test_a_name_of_the_other_kind_of_file_is_refused(to: str, name: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"{name}: is the name of a file of to=\w+; to={to} writes \.\w+ files"):
        main(settings(f"checkpoint={checkpoint}", f"to={to}", f"out={tmp_path / name}"))
    assert not list(tmp_path.glob("a.*"))


def test_a_folder_in_the_files_place_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.pt2").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        main(settings(f"checkpoint={checkpoint}", "to=torch", f"out={tmp_path}"))


@pytest.mark.parametrize("out", ["/proc/x", "/dev/null", "/proc/x/policy.pt2"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(out: str, checkpoint: Path) -> None:
    with pytest.raises(BadInput, match="out="):
        main(settings(f"checkpoint={checkpoint}", "to=torch", f"out={out}"))


def test_random_observations_begin_as_after_a_reset() -> None:
    first, second = check.random_observations(config(), NORMALISATION["proprio"], 2)
    assert np.array_equal(first["frames"][:, 0], first["frames"][:, 1]) and not np.array_equal(second["frames"][:, 0], second["frames"][:, 1])
