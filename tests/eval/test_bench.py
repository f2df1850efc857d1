"""The bench: its words, its verdicts, and (slow) its claims about rendering on one task."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eval import bench
from eval.bench import Settings
from eval.benches import env as bench_env
from eval.benches import heads as bench_heads
from eval.benches import policy as bench_policy
from eval.benches.figure import Figure
from policy.encoders import ENCODERS
from policy.heads import HEADS
from whatwhere.errors import BadInput, Failed
from whatwhere.flags import sort
from whatwhere.settings import parse


def settings(**changes) -> Settings:
    return dataclasses.replace(parse("eval.conf", "bench", Settings, []), **changes)


def test_the_first_word_is_what_to_measure() -> None:
    for words, options in ((["env", "size=84"], ["what=env", "size=84"]), (["size=84"], ["size=84"]), (["--help"], []), ([], [])):
        assert sort(words, {"what": str, "size": int}, ("what",)).options == options


@pytest.mark.parametrize("changes", [{"what": "en"}, {"tasks": ["pick"]}, {"size": 8}, {"size": 1000}, {"rounds": 0}, {"states": 0}, {"seed": -1}])
def test_refusals(changes) -> None:
    with pytest.raises(BadInput, match=next(iter(changes))):
        settings(**changes)


def test_verdicts() -> None:
    assert Figure("x", 6.0, at_least=6).passed and not Figure("x", 5.9, at_least=6).passed and not Figure("x", float("nan"), at_least=6).passed
    assert Figure("x", 0, at_most=0).passed and not Figure("x", 1, at_most=0).passed and Figure("x", 1).passed
    assert "MISSED" in str(Figure("x", 1, at_most=0)) and "bar" not in str(Figure("x", 1))


def test_a_missed_bar_is_exit_code_1_and_is_written(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(bench_env, "measure", lambda settings: [Figure("good", 7, at_least=6), Figure("bad", 5, at_least=6)])
    with pytest.raises(SystemExit) as stop:
        bench.main(settings(out=str(tmp_path / "figures.json")))
    assert stop.value.code == 1
    assert [row["passed"] for row in json.loads((tmp_path / "figures.json").read_text())] == [True, False]


def test_every_way_to_compute_a_query_is_timed(monkeypatch) -> None:
    """With made-up times: what is printed and which bar holds."""
    told = {"ms": [20.0, 8.0, 12.0, 9.0], "still_ms": {"plain": 11.0, "bf16": 4.0}, "auto": "bf16", "execute": 1}
    asked = []
    monkeypatch.setattr(bench_policy, "run", lambda *words: asked.append(words))
    monkeypatch.setattr(bench_policy.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(bench_policy.subprocess, "run", lambda command, **_: SimpleNamespace(stdout=json.dumps(told)))
    figures = {figure.name: figure for figure in bench_policy.ways()}
    assert [words[2] for words in asked] == ["int8=False", "int8=True"]
    assert [figure.value for figure in figures.values()] == [20.0, 8.0, 12.0, 9.0, 11.0, 4.0, 8.0]
    assert "0.55 of one where something did" in str(figures["  where nothing moved: inference=plain"])
    share = figures["a control step's share of it"]
    assert (
        share.passed
        and share.at_most == 10
        and "bf16, execute=1" in share.note
        and "0.40 of plain" in str(figures["query, pick_at_xy/pixelwise: inference=bf16"])
    )


def test_ways_are_timed_in_turns() -> None:
    told = bench_policy.ways_ms(["plain", "bf16"], queries=4)
    assert list(told["still_ms"]) == ["plain", "bf16"] and 0 < told["still_ms"]["plain"] < 0.9 * told["ms"][0], "M is half of a query"
    assert len(told["ms"]) == 2 and min(told["ms"]) > 0 and told["auto"] in ("plain", "bf16") and told["execute"] == 2


def test_heads_are_timed_in_turns() -> None:
    told = bench_heads.ratios(queries=4)
    assert list(told) == [name for name in HEADS if name != "l1"] and all(0.2 < ratio < 5 for ratio in told.values())


def test_what_each_encoder_costs_beside_the_average(tmp_path, capsys) -> None:
    """Of every encoder, a whole measurement of the smallest size."""
    bench.main(settings(what="strategies", size=32, rounds=1, out=str(tmp_path / "strategies.json")))
    figures = {row["name"]: row for row in json.loads((tmp_path / "strategies.json").read_text())}
    assert len(figures) == 4 * len(ENCODERS) and len(capsys.readouterr().out.splitlines()) == 1 + len(figures)
    reach = {encoder: figures[f"{encoder}: numbers that reach the head, a camera"]["value"] for encoder in ENCODERS}
    dim, patches = 128, 16
    expected = {"avg_late": 4 * dim, "avg_early": dim, "pixelwise": (patches + 1) * dim, "all_patches_late": 2 * (patches + 1) * dim}
    assert expected.items() <= reach.items()
    assert all(row["note"] == "1.00 of avg_late" for name, row in figures.items() if name.startswith("avg_late: "))
    memory = {encoder: figures[f"{encoder}: a training step: memory at its peak"]["value"] for encoder in ENCODERS}
    assert memory["avg_late"] < memory["pixelwise"] < memory["all_patches_late"]
    assert all(row["value"] > 0 for row in figures.values())


def test_all_bars_in_one_run(monkeypatch, capsys, tmp_path) -> None:
    """Each figure beside its bar: of starting, of a query, of the simulator, of an evaluation, of a training. With made-up times."""
    import eval.benches.all as bench_all
    from eval.benches import evaluation, start

    told = {"ms": [20.0, 9.0], "still_ms": {}, "auto": "bf16", "execute": 1}
    monkeypatch.setattr(bench_policy.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bench_policy.subprocess, "run", lambda command, **_: SimpleNamespace(stdout=json.dumps(told)))
    monkeypatch.setattr(start, "commands", lambda: ["eval.run", "envs.view"])
    monkeypatch.setattr(start, "run", lambda module, *words: 0.4 if module == "eval.run" else 1.4)
    monkeypatch.setattr(start, "lines", lambda *words: iter([(0.5, "pick_at_xy"), (9.0, "  [1/1] episode 0"), (9.5, "success")]))
    monkeypatch.setattr(evaluation, "lines", lambda *words: iter([(8.0, "  [  1/100] episode 0"), (59.0, "success 0.96 · 100 episodes")]))

    def finetune(module: str, *words: str) -> float:
        if module == "policy.finetune":
            out = Path(next(word for word in words if word.startswith("out=")).removeprefix("out="))
            out.mkdir()
            (out / "config.json").write_text('{"training": {"seconds": 120.0}}')
        return 170.0

    monkeypatch.setattr(bench_policy, "run", finetune)
    monkeypatch.setattr(bench_all, "against_stock", lambda settings: [Figure("  times as fast", 21.0, at_least=20)])
    figures = {figure.name.strip(): figure for figure in bench_all.measure(settings())}
    bars = {name: (figure.value, figure.at_least or figure.at_most, figure.passed) for name, figure in figures.items() if figure.at_least or figure.at_most}
    assert bars == {
        "--help of the slowest of 2 commands": (1.4, 1, False),
        "from the start of eval.run to the first episode's end": (9.0, 10, True),
        "a control step's share of it": (9.0, 10, True),
        "times as fast": (21.0, 20, True),
        "make eval: 100 episodes, 3 videos, start included": (59.0, 60, True),
        "fine-tune pixelwise, 25 demos, caching included": (170 / 60, 3, True),
    }
    assert "0.45 of plain" in str(figures["query, pick_at_xy/pixelwise: inference=bf16"])
    assert "--help of the slowest" in capsys.readouterr().out


def test_commands_are_found_and_what_fails_says_why() -> None:
    from eval.benches import child, start

    assert {"eval.run", "eval.bench", "policy.finetune", "policy.pretrain", "envs.demos.collect"} <= set(start.commands())
    with pytest.raises(Failed, match=r"eval\.run: .*task=nothing"):
        child.run("eval.run", "task=nothing")
    with pytest.raises(Failed, match="exit code 2"):
        list(child.lines("eval.run", "task=nothing"))


@pytest.mark.slow
def test_fast_against_exact_on_a_task(tmp_path) -> None:
    """Not the times, which another process may spoil."""
    figures = list(bench_env.fast_against_exact(settings(states=3, pictures=str(tmp_path)), "pick_at_xy"))
    judged = {figure.name: figure for figure in figures if figure.at_most is not None or figure.at_least == bench_env.LEAST_IOU}
    assert len(judged) == 2 and all(figure.passed for figure in judged.values()), judged
    assert (tmp_path / "pick_at_xy.png").stat().st_size <= 300_000


@pytest.mark.slow
def test_exact_is_what_robosuite_draws() -> None:
    from envs.rendering import Renderer

    stock = bench_env.stock_stack(96)
    stock.reset()
    stock.step(np.full(7, 0.5))
    stock.sim.forward()  # robosuite draws positions that are one substep old
    exact = Renderer(stock.sim.model._model, mode="exact")
    for camera in bench_env.CAMERAS:
        ours = exact.draw(stock.sim.data._data, camera, 96, 96)
        stock.sim._render_context_offscreen.gl_ctx.make_current()
        np.testing.assert_array_equal(ours, stock.sim.render(width=96, height=96, camera_name=camera)[::-1])
    exact.close()
    stock.close()
