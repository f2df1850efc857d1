"""`queries=batched`: the same rows as with a policy in each worker, whatever happens to a worker; the end of the policy's process is the end of the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval.playing import policies
from eval.playing.asking import Asking
from eval.playing.batched import Desk, PolicyProcess
from policy.config import PolicyConfig
from policy.model import build
from policy.storage.checkpoint import save_pretrained
from policy.transforms import Affine
from tests.eval.batched_fakes import FakePlayer, play, play_for_ever
from tests.eval.eval_fakes import FakeEnv
from whatwhere.errors import BadInput, Failed

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the made-up task; its head draws, so that actions depend on the episode."""
    torch.manual_seed(0)
    config = PolicyConfig(
        encoder="cnn_keypoints", head="flow", cameras=FakeEnv.cameras, size=32, proprio_dim=2, action_dim=2, binary=(), keypoints=4, head_parameters=100_000,
        execute=2,
    )  # fmt: skip
    normalisation = {"proprio": Affine.identity(2), "actions": Affine.identity(2)}
    return str(save_pretrained(build(config), tmp_path_factory.mktemp("policies") / "tiny", task="fake", normalisation=normalisation, training={}))


def player(checkpoint: str, out: Path, **options: Any) -> FakePlayer:
    return FakePlayer("fake", "learned", 5, device="cpu", folder=checkpoint, inference="plain", out=str(out), marker=str(out / "marker"), **options)


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: row["episode"])


@pytest.fixture(scope="module")
def own(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Rows of queries=own."""
    with player(checkpoint, tmp_path_factory.mktemp("own"))() as play_one:
        return [play_one(episode, lambda known=None: None) for episode in range(5)]


@pytest.mark.parametrize(("num_envs", "kill"), [(1, None), (3, 2)])
def test_rows_are_those_of_own_queries(checkpoint: str, own: Rows, tmp_path: Path, num_envs: int, kill: int | None) -> None:
    rows: Rows = []
    video = 0 if kill is None else 1
    play(player(checkpoint, tmp_path, kill=kill, video=video), range(5), num_envs, rows.append)
    rows = in_order(rows)
    assert (tmp_path / "marker").exists() is (kill is not None)
    assert [row["episode"] for row in rows] == list(range(5))
    for row, alone in zip(rows, own, strict=True):
        for name in ("init_hash", "success", "steps", "failure", "freezes", "inference"):
            assert row[name] == alone[name], name
        assert row["position_error_cm"] == pytest.approx(alone["position_error_cm"], abs=1e-3)
        assert (row["queries"], alone.get("queries")) == ("batched", None)
    assert len({round(row["position_error_cm"], 2) for row in own}) == 5
    if video:
        assert (tmp_path / rows[0]["video"]).stat().st_size > 1000, "with keypoints, which come from the policy's process"
    else:  # pictures of what changed are computed by torch
        assert not any(row["torch"] for row in rows)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("sign", "timeout_s", "message"),
    [
        (signal.SIGKILL, 120.0, r"the process with the policy died \(SIGKILL\); finished episodes are kept: give the same command again"),
        (signal.SIGSTOP, 12.0, "the process with the policy has not answered for 6 s"),
    ],
)
def test_the_end_of_the_policy_is_the_end_of_the_run(checkpoint: str, tmp_path: Path, sign: int, timeout_s: float, message: str) -> None:
    rows: Rows = []
    mine = player(checkpoint, tmp_path, delay_s=0.02)
    policy = PolicyProcess(mine.learned)

    def on_row(row: dict[str, Any]) -> None:
        rows.append(row)
        os.kill(policy.process.pid or 0, sign)

    with pytest.raises(Failed, match=message):
        play(mine, range(50), 1, on_row, timeout_s, policy)
    assert all(row["failure"] is None for row in rows), "no episode was counted as lost"
    assert not multiprocessing.active_children()


def test_a_policy_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        play(player(str(tmp_path / "nowhere"), tmp_path), range(3), 1, lambda row: None)
    assert not multiprocessing.active_children()


def test_all_leave_when_the_command_is_killed(checkpoint: str, tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(target=play_for_ever, args=(player(checkpoint, tmp_path),))
    parent.start()
    deadline = time.monotonic() + 120
    while not (tmp_path / "marker").exists():
        assert time.monotonic() < deadline and parent.is_alive()
        time.sleep(0.1)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) >= 3, "the policy and two workers"
    parent.kill()
    parent.join()
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline, "a process outlived the command"
        time.sleep(0.1)


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def desk(checkpoint: str) -> Desk:
    return Desk(policies.learned(checkpoint, "cpu", inference="plain"))


def linked(desk: Desk) -> tuple[Connection, Connection]:
    """The desk's end of a new link, and the worker's."""
    theirs, ours = multiprocessing.Pipe()
    desk.links[theirs] = policies.Learned(desk.policy.agent.beside())
    return theirs, ours


def test_a_bad_observation_is_refused_to_who_made_it(desk: Desk) -> None:
    (end, worker), (other_end, other) = linked(desk), linked(desk)
    obs, _ = FakeEnv().reset(seed=0, options={"episode": 0})
    for mine, its, proprio in ((worker, end, np.zeros(3, np.float32)), (other, other_end, obs["proprio"])):
        mine.send(("reset", 5, 0))
        mine.send(("act", obs | {"proprio": proprio}))
        desk.hear(its)
        desk.hear(its)
    worker.send(("hello",))  # not read before its answer is
    assert worker.recv() == ("refused", "observation: proprio: found float32 (3,), needs float32 (2,)")
    assert list(desk.asked) == [other_end]
    desk.answer()
    kind, (actions, fallen) = other.recv()
    assert (kind, actions.shape, fallen) == ("answer", (2, 2), None) and not desk.asked


def test_a_refusal_is_raised_in_the_worker() -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.send(("answer", {"inference": "plain", "queries": "batched"}))
    asking = Asking(ours)
    assert asking.computed() == {"inference": "plain", "queries": "batched"}
    theirs.send(("refused", "observation: no frames"))
    with pytest.raises(BadInput, match=r"^observation: no frames$"):
        asking.act({"frames": 0, "more": 1}, {})
    assert theirs.recv() == ("act", {"frames": 0})


def test_a_link_ends_with_its_worker(desk: Desk) -> None:
    (end, worker), (other_end, _) = linked(desk), linked(desk)
    obs, _ = FakeEnv().reset(seed=0, options={"episode": 0})
    worker.send(("reset", 5, 0))
    worker.send(("act", obs))
    worker.close()
    for _ in range(3):
        desk.hear(end)
    assert list(desk.links) == [other_end] and not desk.asked
