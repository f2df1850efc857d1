"""Folders that cannot be are refused from files alone: before torch is imported, which takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = [
    ("policy.pretrain", ["objective=latent_diffusion", "objective.vae=nothere", "data=empty"], "objective.vae=nothere: no such folder"),
    ("policy.pretrain", ["objective=latent_diffusion", "objective.vae=empty", "data=empty"], "objective.vae=empty: no config.json in it"),
    ("policy.pretrain", ["data=empty", "init=empty"], "init=empty: empty/config.json: no such file"),
    ("policy.pretrain", ["data=empty", "init=run"], "the streams of that run are run/streams/abc"),
    ("policy.pretrain", ["data=file"], "data=file: is a file; give the folder that it lies in"),
    ("policy.pretrain", ["data=empty", "dim=16"], "dim=16: must be a multiple of 64"),
    ("policy.autoencoder", ["data=file"], "data=file: is a file; give the folder that it lies in"),
    ("policy.imagine", ["diffusion=empty", "data=empty"], "diffusion=empty: no diffusion there; needs the OUT of"),
    ("policy.imagine", ["decoder=run", "data=empty"], "decoder=run: learnt over streams 123 of 48 px, not over those of"),
    ("policy.imagine", ["decoder=empty", "data=file"], "data=file: is a file"),
    ("policy.desired", ["checkpoint=nothere", "demos=empty"], "checkpoint=nothere: no such name or folder"),
    ("policy.desired", ["checkpoint=pick_at_xy/pixelwise", "demos=empty"], "has no planner; needs a policy of head=planned"),
    ("policy.align", ["scenes=empty"], "scenes=empty: no index.json; draw them with"),
    ("policy.show_words", ["align=empty", "scenes=empty"], "align=empty: no config.json there"),
    ("policy.show_words", ["align=shipped", "scenes=empty"], "no index.json; draw them with"),
    ("policy.show_words", ["checkpoint=pick_at_xy/pixelwise", "demos=empty"], "join=beside, in which words and patches do not attend to each other"),
    ("eval.gradients", [], "demos: missing; give demos=FOLDER"),
    ("eval.gradients", ["demos=empty"], "empty: holds no demonstrations"),
    ("eval.gradients", ["demos=one", "num_demos=2"], "demos=one: holds 1 episode, num_demos=2 asks for more"),
    ("eval.gradients", ["demos=one", "num_demos=1", "checkpoints=[pick_at_xy/pixelwisee]"], "did you mean pick_at_xy/pixelwise?"),
    ("eval.gradients", ["demos=one", "num_demos=1", "checkpoints=[pick_at_xy/cnn_keypoints]"], "encoder=cnn_keypoints has no streams"),
]
RUN = """
import json, runpy, sys
sys.argv = json.loads(sys.argv[1])
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(("module", "words", "said"), CASES, ids=[" ".join([module, *words]) for module, words, _ in CASES])
def test_from_files_alone(tmp_path: Path, module: str, words: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "episode_0.hdf5").touch()
    for folder, record in (("streams/abc", {}), ("decoder", {"kind": "picture_decoder", "streams_sha256": "123", "size": 48})):
        (tmp_path / "run" / folder).mkdir(parents=True)
        (tmp_path / "run" / folder / "config.json").write_text(json.dumps(record))
    words = [sys.executable, "-c", RUN, json.dumps([module, *words, "out=out"])]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert done.stdout == "False\n", "torch is not imported for a refusal"
    assert not (tmp_path / "out").exists(), "nothing is written"
