"""The control loop of teleoperation: device → command → action → simulation → recording, and the buttons that begin and end episodes.

ready ──start──► recording ──success, failure, end of time, save──► review ──save──► ready (next start)
                    └──discard──► ready (the same start)               └─discard──► ready (the same start)
offer (of an episode that a killed session left) ──save──► recording, where it stopped
done: all episodes that were wanted are there; undo or quit
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.demos.starts import Starts
from envs.teleop.device import STILL, Command, Device, Status
from envs.teleop.drive import drive_for
from envs.teleop.pace import Pace
from envs.teleop.take import FAILED, JOURNAL, Take, unfinished
from envs.teleop.views import Views
from whatwhere.counted import counted

if TYPE_CHECKING:
    from envs.base import TaskEnv

UNDONE = "undone"
AT_REST = 0.02  # rad/s, m/s: below that in every joint the scene stands still
SETTLING_STEPS = 10  # that long the simulation goes on after the operator has gone


class Session:
    """One operator, one environment, one folder. `run` until the operator leaves or the device has nothing more."""

    def __init__(
        self,
        env: TaskEnv,
        device: Device,
        starts: Starts,
        *,
        n: int,
        seed: int,
        attrs: dict[str, Any],
        idle: int | None = SETTLING_STEPS,
        view: int = 256,
        recover: str = "ask",
        say: Callable[[str], None] = print,
    ) -> None:
        """`attrs` go into every episode; `idle`: after so many steps of stillness the simulation waits (None: never); `recover`: ask, true or false."""
        self.env, self.device, self.starts, self.n, self.seed = env, device, starts, n, seed
        self.folder, self._attrs, self._say, self._recover = starts.folder, attrs, say, recover
        self._idle = idle if device.paced else None
        self.pace = Pace(env.control_hz)
        self._views = Views(env, view, self.pace)
        self._drive = drive_for(env)
        self.state, self.over = "ready", False
        self._say_here("")
        self.info: dict[str, Any] = {}
        self.start: int | None = None
        self.take: Take | None = None
        self._rate: dict[str, float] = {}
        self._begin_control()

    # ---- the loop

    def run(self) -> None:
        """From the first start to the end. Whatever ends it, an unfinished episode stays in its journal."""
        try:
            self.begin()
            self.device.show(self.status(), {})  # before it is asked: it may be in the midst of an episode that was recovered
            while not self.over:
                self.tick()
        finally:
            if self.take is not None:
                self.take.journal.close()

    def begin(self) -> None:
        """Before the first tick: the next start, or the unfinished episode of a session that was killed."""
        self._to_next_start()
        self._found = unfinished(self.folder, self.start, self.env)
        if not self._found:
            (self.folder / JOURNAL).unlink(missing_ok=True)  # of an episode that was saved, or that never began
        elif self._recover == "ask":
            self.state = "offer"
            self._say_here(f"An unfinished episode of {counted(len(self._found), 'step')} was found: save to go on with it, discard to drop it.")
            self._say(self.message)
        elif self._recover == "true":
            self._resume()
        else:
            self._say(f"start {self.start}: an unfinished episode of {len(self._found)} steps was dropped (recover=false)")
            (self.folder / JOURNAL).unlink()

    def tick(self) -> None:
        """One control step, or one step of waiting for the operator."""
        command, state = self.device.read(), self.state
        for button in command.buttons:
            self._press(button)
        stepped = self.state == state == "recording" and self._advance(command)
        if stepped:
            self._views.changed()
        pictures = self._views.draw(self.take.recording if self.take else None) if self.device.paced else {}
        self.device.show(self.status(), pictures)
        if self.device.paced:
            self.pace.wait(counted=stepped)

    def status(self) -> Status:
        error = self.info.get("position_error_cm")
        return Status(
            state=self.state,
            message=self.message,
            problem=self._problem,
            task=self.env.task,
            instruction=self.env.instruction,
            success=bool(self.info.get("success")),
            error_cm=float(error) if error is not None and np.isfinite(error) else None,
            steps=len(self.take or ()),
            horizon=self.env.horizon,
            start=self.start,
            saved=self.starts.num_files,
            wanted=self.n,
            failed=sum(not row["success"] for row in self.starts.rows),
            closed=self._closed,
            drives=self._drive.drives,
            mobile=self._drive.mobile,
            waiting=self.state == "recording" and self._waiting,
            rate=self._present_rate() if self.state == "recording" else self._rate,
        )

    # ---- control steps

    def _begin_control(self) -> None:
        self._drive.begin()
        self._closed = self._was_closed = False  # what the gripper is told, now and in the step before
        self._still_steps, self._waiting = SETTLING_STEPS if self._idle is None else self._idle, False  # it waits for the first command

    def _advance(self, command: Command) -> bool:
        """Sends one action, unless everything stands still and nothing is asked for. Whether it did."""
        assert self.take is not None
        if not command.present:
            command = replace(command, move=STILL, turn=STILL, action=None)
        still = command.is_still and self._closed == self._was_closed
        self._still_steps = self._still_steps + 1 if still else 0
        patience = self._idle if command.present else SETTLING_STEPS
        self._waiting = still and patience is not None and self._still_steps > patience and (not command.present or self._is_at_rest())
        if self._waiting:
            return False
        action, arm_goal = self._drive.action(command, self._closed)
        try:
            self.take.add(action, arm_goal)
        except OSError as error:
            self._waiting = True
            self._say_here(f"Stopped: the journal cannot be written ({error.strerror}). Make room, and it goes on.", problem=True)
            return False
        if self._problem:
            self._say_here("")
        self._was_closed = self._closed
        self._do(action)
        return True

    def _do(self, action: np.ndarray) -> None:
        terminated, truncated, self.info = self.env.advance(action)
        if terminated or truncated:
            self._stop()

    def _stop(self) -> None:
        """Recording is over: what it is worth is for the operator to say."""
        self.state, self._rate = "review", self._present_rate()
        good = bool(self.info["success"])
        self._say_here("Success: save or discard." if good else f"Not solved ({self._failure()}): save keeps it apart, discard drops it.")
        if self._rate:
            self._say(f"start {self.start}: {counted(len(self.take or ()), 'step')} at {self.pace.rate()}")

    def _is_at_rest(self) -> bool:
        simulator = getattr(self.env.simulation, "sim", None)
        return simulator is None or float(np.abs(simulator.data._data.qvel).max()) < AT_REST

    def _failure(self) -> str:
        return self.info.get("failure") or ("horizon" if len(self.take or ()) >= self.env.horizon else "stopped")

    def _present_rate(self) -> dict[str, float]:
        rate = self.pace.rate()
        paced = self.device.paced and rate.ticks
        return {"hz": round(rate.hz, 1), "ticks": rate.ticks, "late": rate.late, "longest_ms": round(rate.longest_ms)} if paced else {}

    # ---- buttons

    def _press(self, button: str) -> None:
        actions: dict[tuple[str, str], Callable[[], None]] = {
            ("ready", "start"): self._start,
            ("ready", "undo"): self._undo,
            ("recording", "gripper"): self._toggle_gripper,
            ("recording", "drive"): self._drive.switch,
            ("recording", "save"): self._give_up,
            ("recording", "discard"): self._discard,
            ("review", "save"): self._save,
            ("review", "discard"): self._discard,
            ("done", "undo"): self._undo,
            ("offer", "save"): self._resume,
            ("offer", "discard"): self._discard,
        }
        if button == "quit":
            self.over = True
        elif (self.state, button) in actions:
            actions[self.state, button]()
        elif button == "undo":
            self._say_here("Undo takes back the last saved episode: save or discard this one first.")

    def _say_here(self, message: str, problem: bool = False) -> None:
        """Shows a line to the operator until the next one."""
        self.message, self._problem = message, problem

    def _start(self) -> None:
        self._record([])

    def _record(self, rows: list[dict[str, Any]]) -> bool:
        """Begins an episode whose journal has `rows` already. Whether that worked."""
        assert self.start is not None
        try:
            self.take = Take(self.env, self.info, self.folder, self.seed, self.start, self._attrs, rows)
        except OSError as error:
            self._say_here(f"Not started: the journal cannot be written ({error.strerror}).", problem=True)
            return False
        self.state = "recording"
        self._say_here("")
        self.pace.restart()
        return True

    def _give_up(self) -> None:
        """Ends the episode as it is; what becomes of it, the next press says."""
        if len(self.take or ()):
            self._stop()
        else:
            self._say_here("Nothing to save yet.")

    def _toggle_gripper(self) -> None:
        self._closed = not self._closed

    def _save(self) -> None:
        assert self.take is not None
        failure, steps, rate = None if self.info["success"] else self._failure(), len(self.take), self._rate
        self.device.show(replace(self.status(), message="Saving …"), {})
        try:
            self.take.save(self.starts, self.info, failure, rate)
        except OSError as error:  # a full disk: the episode is still in memory and in its journal
            self._say_here(f"NOT saved ({error.strerror or error}): make room and save again.", problem=True)
            self._say(self.message)
            return
        outcome = "success" if failure is None else f"kept in {FAILED}/ ({failure})"
        self._say(f"start {self.start}: {outcome} after {counted(steps, 'step')} · {self.starts.num_files}/{self.n}")
        speed = f" at {rate['hz']} Hz, {rate['late']} late, longest tick {rate['longest_ms']} ms" if rate else ""
        self._to_next_start(f"Saved: {outcome}, {counted(steps, 'step')}{speed}.")

    def _discard(self) -> None:
        if self.take is not None:
            self.take.drop()
        (self.folder / JOURNAL).unlink(missing_ok=True)
        self._to_next_start("Discarded: the same start again.")

    def _undo(self) -> None:
        try:
            row = self.starts.undo(self.folder / UNDONE)
        except OSError as error:  # a full disk: the start counts as it did
            self._say_here(f"NOT undone ({error.strerror or error}): make room and undo again.", problem=True)
            return
        if row is None:
            self._say_here("There is nothing to undo.")
            return
        self._say(f"start {row['episode']}: undone" + (f", its episode is in {UNDONE}/" if row["success"] else ""))
        self._to_next_start(f"Start {row['episode']} was undone and is to be played again.")

    # ---- from one start to the next

    def _to_next_start(self, message: str = "") -> None:
        self.take, self._rate, self.start = None, {}, self._next_start()
        self._begin_control()
        self.state = "ready"
        if self.start is None:
            self.state, self.over = "done", not self.device.paced
            message = f"{message} There: {counted(self.starts.num_files, 'episode')}. Quit, or undo the last.".strip()
        self._say_here(message)
        if self.start is not None or not self.info:
            _, self.info = self.env.reset(seed=self.seed, options={"episode": self.start or 0})
            self._views.changed()

    def _next_start(self) -> int | None:
        while (start := self.starts.next(self.n, ())) is not None:
            answer = self.device.begin(self.seed, start)
            if answer != "skip":
                return start if answer == "play" else None
            self.starts.add({"episode": start, "success": False, "failure": "no commands", "steps": 0, "position_error_cm": None, "init_hash": None})
        return None

    def _resume(self) -> None:
        """Sends the unfinished episode's actions again, which leads through the same states, and goes on from there."""
        if not self._record(self._found):
            return
        assert self.take is not None
        for row in self._found:
            goal = None if "arm_goal" not in row else np.array(row["arm_goal"])
            action, _ = self._drive.action(Command(action=np.array(row["action"]), arm_goal=goal), False)
            same = self.env.get_state().tolist() == row["state"]
            if not same:  # another processor
                self.env.set_state(np.array(row["state"]))
            self.take.recording.add(row)
            self._do(action)
            if self.state != "recording":
                break
        closing = [row["arm_goal"][7] if self._drive.mobile else row["action"][6] for row in self._found if not self._drive.mobile or "arm_goal" in row]
        self._closed = self._was_closed = bool(closing) and closing[-1] > 0
        self._views.changed()
        self._say(f"start {self.start}: {counted(len(self._found), 'step')} of an unfinished episode recovered")
        if self.state == "recording":
            self._say_here(f"{counted(len(self._found), 'step')} recovered: go on, save or discard.")
