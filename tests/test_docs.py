"""The documents tell the truth: commands and their options exist, links lead somewhere, and the code on the pages runs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"python -m ((?:policy|envs|eval|whatwhere)[\w.]*)((?: [^\s`]+)*)")


def commands() -> list[tuple[str, str, str]]:
    found = {(page.name, match[1], match[2]) for page in PAGES for match in COMMAND.finditer(page.read_text(encoding="utf-8"))}
    return sorted(found)


def source_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, f"no module {module}"
    path = Path(spec.origin)
    return path.with_name("__main__.py") if path.name == "__init__.py" else path


@pytest.mark.parametrize(("page", "module", "arguments"), commands())
def test_commands_exist(page: str, module: str, arguments: str) -> None:
    path = source_of(module)
    assert path.exists(), f"{page}: python -m {module} cannot be run"
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    call = next((node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "command"), None)
    if call is None:
        return
    folder, name = (ast.literal_eval(argument) for argument in call.args[:2])
    text = (ROOT / folder.replace(".", "/") / f"{name}.yaml").read_text(encoding="utf-8")
    for key in re.findall(r" ([a-z_]+)=", arguments):
        assert re.search(rf"^{key}:", text, re.MULTILINE), f"{page}: python -m {module} has no option {key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"


def test_blocks_are_closed() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        begins, ends = re.findall(r"<!-- begin:(\S+) -->", text), re.findall(r"<!-- end:(\S+) -->", text)
        assert begins == ends and len(set(begins)) == len(begins), page.name


def test_the_first_screen_of_the_readme() -> None:
    """What it is, a moving picture that loads quickly, a small diagram, and the two commands, before the first heading of a section."""
    from PIL import Image, ImageSequence

    screen = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", screen)
    assert (ROOT / picture).stat().st_size <= 2e6
    with Image.open(ROOT / picture) as film:
        assert film.info["loop"] == 0, "it loops"
        shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    assert len(shown) > 20 and all(frame.mean() > 50 and frame.std() > 20 for frame in shown), "none is black or empty"
    assert any(f"python -m eval.animate video=outputs/rollout/videos/episode_0.mp4 out={picture}" in page.read_text(encoding="utf-8") for page in PAGES)
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", screen, re.DOTALL)
    assert len(diagram.splitlines()) <= 10
    assert screen.index(picture) < screen.index(diagram) < screen.index("make eval") < screen.index("make test")


def code(page: str, word: str) -> str:
    """The one Python block of a page that has `word` in it."""
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL) if word in block]
    return block


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, text: str) -> None:
    (folder / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_the_encoder_of_the_guide_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    from policy.config import PolicyConfig
    from policy.encoders import ENCODERS
    from policy.language.bag import bag_of_words
    from policy.model import build

    install(monkeypatch, tmp_path, "guide_encoder", code("docs/adding.md", "class MaxLate"))
    monkeypatch.setitem(ENCODERS, "max_late", "guide_encoder:MaxLate")
    policy = build(PolicyConfig(encoder="max_late")).eval()
    with torch.no_grad():
        actions = policy(torch.zeros(1, 2, 2, 96, 96, 3, dtype=torch.uint8), torch.zeros(1, 9), bag_of_words("pick up the red cube")[None])
    assert actions.shape == (1, 8, 7) and actions.isfinite().all()


@pytest.mark.slow
def test_the_task_of_the_guide_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import envs

    install(monkeypatch, tmp_path, "guide_task", code("docs/adding.md", "class HoverOver(TableTask)"))
    install(monkeypatch, tmp_path, "guide_expert", code("docs/adding.md", "class HoverOverExpert"))
    monkeypatch.setitem(envs.TASKS, "hover_over", "guide_task:HoverOver")
    env = envs.make("hover_over")
    expert = importlib.import_module("guide_expert").HoverOverExpert()
    successes = 0
    for episode in range(3):
        _, info = env.reset(seed=100_000, options={"episode": episode})
        expert.reset()
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(expert.act(info))
            over = terminated or truncated
        successes += info["success"]
    assert successes == 3
    env.close()


def test_the_ten_lines_of_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    block = code("README.md", "Agent.from_pretrained")
    compiled = compile(block, "README.md", "exec")
    exec(compiled, {})
    assert capsys.readouterr().out == "(2, 7)\n"


@pytest.mark.slow
def test_the_own_task_of_the_guide_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import envs
    from envs.experts import expert_class

    install(monkeypatch, tmp_path, "my_lift", code("docs/own_task.md", "class LiftExpert"))
    assert len((ROOT / "docs/own_task.md").read_text(encoding="utf-8").splitlines()) <= 60
    for task, starts in (("robosuite/Lift", 40), ("my_lift:MyLift", 20)):
        env, wins = envs.make(task, size=32), 0
        for episode in range(starts):
            _, info = env.reset(seed=100_000, options={"episode": episode})
            expert, over = expert_class(task, "my_lift:LiftExpert")(noise=0.3, rng=np.random.default_rng(episode)), False
            while not over:
                terminated, truncated, info = env.advance(expert.perturb(expert.act(info)))
                over = terminated or truncated
            wins += info["success"]
        assert wins >= 0.95 * starts and info["position_error_cm"] < 2, task
        env.close()
