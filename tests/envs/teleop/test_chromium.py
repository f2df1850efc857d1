"""The page in a real browser: one pick by key presses, saved and read; mouse, touch buttons, gamepad; hidden, closed, and a second page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envs.demos.episodes import episode_paths, read_episode
from policy.training.dataset import load_demos
from tests.envs.teleop.driver import Fingers, Running, browser, pick, running, until

PAD = """
  window.pad = { connected: true, id: "Pad", axes: [0, 0, 0, 0], buttons: Array.from({ length: 17 }, () => ({ pressed: false })) };
  Object.defineProperty(navigator, "getGamepads", { value: () => [window.pad] });
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("browser"), n=3) as one:
        yield one


@pytest.fixture
def page(run: Running, chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(has_touch=True, viewport={"width": 1200, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(run.url)
    until(lambda: page.text_content("#state") not in ("connecting", "no connection"), "the page's connection")
    yield page
    context.close()
    until(lambda: not run.session.device.read().present, "the page to be gone")
    if run.session.state in ("recording", "review"):
        run.session.device._server._pressed.append("discard")  # type: ignore[attr-defined]
        until(lambda: run.session.state == "ready", "a free robot")
    assert not problems


def start(run: Running, page: Any) -> None:
    until(lambda: page.text_content("#state") == "ready", "a page that knows that all is ready")
    page.keyboard.press("Enter")
    until(lambda: run.session.state == "recording", "recording")


def hand(run: Running) -> Any:
    return run.session.info["privileged/gripper_pos_world"]


def test_the_cube_is_picked_up_by_keys_and_saved(run: Running, page: Any) -> None:
    assert page.text_content("#instruction") == "pick up the red cube"
    pick(run, page)
    until(lambda: page.text_content("#success") == "yes", "success on the page")
    shown = float(page.text_content("#error").removesuffix(" cm"))
    assert abs(shown - run.session.info["position_error_cm"]) < 0.06 and shown <= 2
    assert "Hz" in page.text_content("#rate")
    page.keyboard.press("Enter")  # the page knows of the success, so this saves
    until(lambda: run.session.state == "ready" and run.session.starts.num_files == 1, "the saved episode")
    episode = read_episode(episode_paths(run.session.folder)[0])
    assert episode.success and episode.attrs["source"] == "browser" and (episode.attrs["seed"], episode.attrs["episode"]) == (0, 0)
    assert len(load_demos(run.session.folder, 1, chunk=8)) == len(episode) > 20
    assert any("ticks late" in line for line in run.said)
    until(lambda: "1 of 3 saved" in page.text_content("#episode"), "the page to know of it")
    page.keyboard.press("z")
    until(lambda: run.session.starts.num_files == 0, "undo")
    assert (run.session.folder / "undone" / "episode_0.hdf5").exists()


def test_pictures_are_live(run: Running, page: Any) -> None:
    look = "() => [...document.querySelectorAll('canvas')].map((one) => one.toDataURL())"
    until(lambda: page.evaluate("() => [...document.querySelectorAll('canvas')].every((one) => one.width === 96)"), "both cameras")
    before = page.evaluate(look)
    start(run, page)
    Fingers(page).hold("s", "d")
    until(lambda: all(now != then for now, then in zip(page.evaluate(look), before, strict=True)), "pictures that change")


def test_mouse_wheel_and_buttons_move_and_grip(run: Running, page: Any) -> None:
    start(run, page)
    box = page.locator("canvas").first.bounding_box()
    x, y = box["x"] + 100, box["y"] + 100
    before = hand(run)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y)
    until(lambda: hand(run)[1] > before[1] + 0.03, "a drag to the right moves to the right in the picture")
    page.mouse.up()
    until(lambda: run.session.status().waiting, "stillness")
    height = hand(run)[2]
    for _ in range(8):
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(40)
    until(lambda: hand(run)[2] < height - 0.003, "the wheel moves down")
    page.locator("[data-button=gripper]").tap()
    until(lambda: run.session.status().closed, "the gripper's button")
    page.keyboard.press("Space")
    until(lambda: not run.session.status().closed, "the gripper's key, also after its button was used")
    page.locator("[data-button=discard]").tap()
    until(lambda: run.session.state == "ready", "discard")


def test_enter_does_not_end_an_episode_but_x_does(run: Running, page: Any) -> None:
    start(run, page)
    Fingers(page).hold("s")
    until(lambda: run.session.status().steps > 3, "some steps")
    until(lambda: page.text_content("#state") == "recording", "the page to know")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert run.session.state == "recording" and "Stop" in page.text_content("#save")
    page.keyboard.press("x")
    until(lambda: page.text_content("#state") == "review", "review")
    assert "Not solved (stopped)" in page.text_content("#message")


def test_a_finger_on_a_button_moves_until_it_is_lifted(run: Running, page: Any) -> None:
    start(run, page)
    before = hand(run)
    button = page.locator("[data-hold='move:2:1']")
    button.dispatch_event("pointerdown", {"pointerId": 1, "pointerType": "mouse", "button": 0})
    until(lambda: hand(run)[2] > before[2] + 0.01, "up")
    button.dispatch_event("pointerup", {"pointerId": 1})
    until(lambda: run.session.status().waiting, "stillness")


def test_a_gamepad_steers(run: Running, page: Any) -> None:
    page.evaluate(PAD)
    page.evaluate("() => { pad.buttons[9].pressed = true; }")
    until(lambda: run.session.state == "recording", "Start")
    before = hand(run)
    page.evaluate("() => { pad.buttons[9].pressed = false; pad.axes[0] = 1; }")
    until(lambda: hand(run)[1] > before[1] + 0.02, "right")
    page.evaluate("() => { pad.axes[0] = 0.1; }")
    until(lambda: run.session.status().waiting, "stillness within the dead zone")
    page.evaluate("() => { pad.buttons[0].pressed = true; }")
    until(lambda: run.session.status().closed, "the gripper")
    page.wait_for_timeout(200)
    assert run.session.status().closed and page.text_content("#pad") == "Pad"
    page.evaluate("() => { pad.buttons[8].pressed = true; }")
    until(lambda: run.session.state == "ready", "Back discards")


@pytest.mark.parametrize("how", ["hidden", "closed", "blurred", "frozen"])
def test_the_arm_stops_when_the_page_is_not_there(run: Running, page: Any, how: str) -> None:
    start(run, page)
    Fingers(page).hold("d")
    before = hand(run)
    until(lambda: hand(run)[1] > before[1] + 0.01, "motion")
    if how == "hidden":
        page.evaluate(
            "() => { Object.defineProperty(document, 'visibilityState', { value: 'hidden' }); document.dispatchEvent(new Event('visibilitychange')); }"
        )
    elif how == "closed":
        page.close()
    elif how == "blurred":
        page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    else:
        page.evaluate("() => { const end = Date.now() + 2500; while (Date.now() < end); }")
    until(lambda: run.session.status().waiting, "a still arm")
    steps, place = run.session.status().steps, hand(run)
    assert run.session.state == "recording"
    if how == "frozen":
        return  # it is there again, with its key still down
    time.sleep(0.3)
    assert run.session.status().steps == steps and (hand(run) == place).all()


def test_a_second_page_does_not_get_the_robot(run: Running, page: Any, chromium: Any) -> None:
    start(run, page)
    with chromium.new_context() as context:
        second = context.new_page()
        second.goto(run.url)
        until(lambda: "another page is in control" in (second.text_content("#message") or ""), "the refusal")
        before = hand(run)
        second.keyboard.down("d")
        second.wait_for_timeout(400)
        assert (hand(run) == before).all() and run.session.state == "recording"


def test_a_wrong_address_shows_nothing(run: Running, chromium: Any) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        answer = page.goto(run.url.replace(run.session.device._server.token, "guess"))  # type: ignore[attr-defined]
        assert answer.status == 403 and page.locator("canvas").count() == 0


def test_the_session_ends_with_quit(tmp_path: Path, chromium: Any) -> None:
    with running(tmp_path) as one:
        page = chromium.new_page()
        page.goto(one.url)
        until(lambda: page.text_content("#state") == "ready", "ready")
        page.locator("[data-button=quit]").click()
        until(lambda: one.session.over, "the end")
        until(lambda: "The session has ended" in (page.text_content("#message") or ""), "the farewell")
        page.close()
