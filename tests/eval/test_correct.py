"""Episodes in which a policy acts and the expert says what it should have done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from envs.demos.episodes import read_episode
from eval.correct import Corrector, Settings, main, plan_of
from eval.playing.prepare import prepare
from eval.reports.entries import demos
from eval.run import Settings as Run
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.training.dataset import load_demos
from policy.transforms import Affine
from tests.policy.small import awake, config
from whatwhere.errors import BadInput
from whatwhere.settings import parse


def checkpoint(folder: Path, **choices: object) -> Path:
    torch.manual_seed(0)
    chosen = config("cnn_avg", proprio_dim=10, size=48, **choices)
    identity = {"proprio": Affine.identity(chosen.own_dim), "actions": Affine.identity(7)}
    training = {"task_version": "0", "rendering": "fast", "corrections": 4, "num_demos": 5}
    return save_pretrained(awake(build(chosen)), folder, task="pick_at_xy", normalisation=identity, training=training)


def settings(place: Path, *words: str) -> Settings:
    return parse("eval.conf", "correct", Settings, [f"checkpoint={place}", *words])


def test_the_policy_acts_first_and_the_expert_says_what_is_right(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "policy")
    main(settings(place, "n=1", "longest=3", "noise=0", f"out={tmp_path / 'out'}"))
    before = (tmp_path / "out/episode_0.hdf5").read_bytes()
    main(settings(place, "n=2", "longest=3", "noise=0", f"out={tmp_path / 'out'}"))
    assert (tmp_path / "out/episode_0.hdf5").read_bytes() == before
    for number in range(2):
        episode = read_episode(tmp_path / f"out/episode_{number}.hdf5")
        until = episode.attrs["corrected"]["until"]
        assert episode.executed_actions is not None and episode.frames is not None and episode.success and episode.attrs["source"] == "corrections"
        differs = np.abs(episode.actions - episode.executed_actions).max(axis=1) > 1e-6
        assert differs[:until].all() and not differs[until:].any() and len(episode) > until
        assert len(episode.frames) == len(episode) and episode.attrs["seed"] == 1
    assert load_demos(tmp_path / "out", 2, chunk=4).corrections == 2


def test_a_policy_for_late_pictures_sees_late_ones_and_recordings_hold_those_of_now(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "policy", latency=2)
    plan = plan_of(settings(place, "longest=3", "noise=0", f"out={tmp_path / 'out'}"))
    corrector = Corrector(plan)
    seen = []
    act = corrector.policy.act
    corrector.policy.act = lambda obs, info: (seen.append(obs["frames"]), act(obs, info))[1]  # type: ignore[method-assign]
    plan.folder.mkdir()
    try:
        for start in range(20):  # an untrained policy throws the hand about
            seen.clear()
            row = corrector(start)
            if row["success"] and seen:
                break
    finally:
        corrector.close()
    episode = read_episode(plan.folder / f".start_{start}.hdf5")
    assert row["steps"] == len(episode) and episode.frames is not None
    shown, execute = episode.frames, corrector.policy.agent.execute
    assert len(seen) == -(-episode.attrs["corrected"]["until"] // execute)
    for query, pair in enumerate(seen):
        newest = max(query * execute - 2, 0)
        assert (pair[:, 1] == shown[newest]).all() and (pair[:, 0] == shown[max(newest - 4, 0)]).all()


def test_rows_and_tables_name_the_corrections(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "policy")
    player = prepare(parse("eval.conf", "run", Run, ["task=pick_at_xy", f"checkpoint={place}"]))
    assert player.row({"success": True})["corrections"] == 4
    assert demos({"num_demos": 25, "corrections": 4}) == "25 and 4 corrections" and demos({"num_demos": 25}) == "25"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "checkpoint: missing"),
        (["checkpoint=no/such/policy"], "no/such/policy"),
        (["checkpoint=LATE"], "its actions are carried out late"),
        (["checkpoint=POLICY", "task=stack_centered"], "made for task=pick_at_xy"),
        (["checkpoint=POLICY", "seed=200000"], "seed=200000"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], says: str, tmp_path: Path) -> None:
    late, policy = checkpoint(tmp_path / "late", action_latency=1), checkpoint(tmp_path / "policy")
    words = [word.replace("LATE", str(late)).replace("POLICY", str(policy)) for word in words]
    with pytest.raises(BadInput, match=says):
        plan_of(parse("eval.conf", "correct", Settings, words))
