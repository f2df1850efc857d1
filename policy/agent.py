"""A policy at work in one environment: numpy in, numpy out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from policy.ablation import STREAMS, check_without
from policy.export.record import verified
from policy.fallback.watch import Watch
from policy.history import OwnHistory
from policy.inference import EXPORTED
from policy.inference.choice import answering
from policy.language.strange import note, strange, trained_on
from policy.look import Look
from policy.memory.recollection import Recollection
from policy.model import Policy
from policy.noise import drawn
from policy.shapes import Prediction
from policy.shares import left_out, shares
from policy.storage import checkpoint
from policy.training.device import choose_device
from policy.transforms import Affine
from policy.word_attention import WordAttention, on_grid
from whatwhere.errors import BadInput, shown


class Agent:
    """Holds what belongs to one environment and one episode: make one for each environment, and call `reset` when an episode starts.

    Inference uses batches of one, so an action does not depend on what else is running. For bitwise repeatable results, set torch's threads to one
    when the process starts. (`policy.inference.together` answers several agents as one batch: `read` and `finish` are the two halves of `act`.)
    `execute`: how many of the predicted actions `act` returns; None: as many as the policy's config says. `ensemble`: None, or m ≥ 0: average the
    chunks of earlier queries that still reach the present step, the i-th oldest weighted exp(−m·i) (temporal ensembling of ACT, Zhao et al. 2023).
    `inference`: how actions are computed (policy.inference): plain, bf16, a file that `python -m policy.export to=onnx` wrote, or auto: the fastest
    available on this processor.
    `towards`: the policy is an inverse model, and acts towards the pictures in `goal` at each query.
    `without`: m or p: removes that stream, to measure what it contributes; the policy gets its output for equal frames, or for a grey picture.
    `fallback`: what to do if a camera or the instruction fails (policy.fallback): hold still, continue with the other_camera, or none: nothing is
    checked. `watch.now` says what happened at the last query. `training`: a checkpoint's record of its training, which has the words it learned.
    """

    def __init__(
        self,
        policy: Policy,
        normalisation: Mapping[str, Affine],
        execute: int | None = None,
        ensemble: float | None = None,
        inference: str | os.PathLike[str] = "plain",
        without: str | None = None,
        towards: bool = False,
        fallback: str = "none",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        execute = policy.config.execute if execute is None else execute
        if isinstance(execute, bool) or not isinstance(execute, int | np.integer) or not 1 <= execute <= policy.config.chunk:
            raise BadInput(f"execute={execute}: must be a whole number from 1 to {policy.config.chunk}, the policy's chunk")
        if ensemble is not None and not (isinstance(ensemble, int | float) and ensemble >= 0):
            raise BadInput(f"ensemble={ensemble}: must be a number, at least 0")
        if policy.config.change != "past" and not towards:
            raise BadInput(f"change={policy.config.change}: this policy needs frames of the future; only change=past can act without a goal")
        if policy.config.change == "past" and towards:
            raise BadInput("change=past: this policy knows what it wants; a goal is for inverse models (docs/planner.md)")
        self.goal: NDArray[np.uint8] | None = None  # (c, h, w, 3): what should be, for an inverse model
        self.policy, self.config, self.normalisation = policy.eval(), policy.config, dict(normalisation)
        self.execute, self.ensemble = execute, ensemble
        check_without(self.config.streams_used, without, "the policy")
        self.without, self._is_exported = without, str(inference).endswith(EXPORTED)
        if without is not None and self._is_exported:
            raise BadInput(f"without={without}: an exported file always sees both streams; use inference=plain")
        self.inference, self._ask = answering(inference, self.policy, self.normalisation)
        self.checkpoint: checkpoint.Checkpoint | None = None
        self._own = OwnHistory(self.config, self.execute)
        self._memory = Recollection(self.config.memory, self.config.frame_gap, self.execute)
        # words that it learnt from, of play too (language=aligned), or has named as strange; empty: not known
        self.known = {*trained_on(training), *policy.config.vocabulary} if training else set()
        self.watch = Watch(fallback, self.config, self.normalisation["proprio"], training or {})
        self._options = (self.execute, ensemble, inference, without, towards, fallback, training)
        self.reset()

    def beside(self) -> Agent:
        """An agent for another environment: the same policy, by the same weights in memory, and a state of its own."""
        agent = Agent(self.policy, self.normalisation, *self._options)
        agent.checkpoint = self.checkpoint
        return agent

    @staticmethod
    def from_pretrained(
        name_or_folder: str | os.PathLike[str],
        device: str | torch.device = "auto",
        execute: int | None = None,
        ensemble: float | None = None,
        inference: str | os.PathLike[str] = "auto",
        without: str | None = None,
        towards: bool = False,
        fallback: str = "none",
    ) -> Agent:
        """By name or folder (policy.storage.checkpoint.load). `device`: auto, cpu or cuda, as text or as torch's own. Raises BadInput."""
        checkpoint.verify(name_or_folder)
        loaded = checkpoint.load(name_or_folder, choose_device(device))
        if str(inference).endswith(EXPORTED):
            verified(str(inference), loaded.sha256)
        agent = Agent(loaded.policy, loaded.normalisation, execute, ensemble, inference, without, towards, fallback, loaded.config.get("training"))
        agent.checkpoint = loaded
        return agent

    @property
    def device(self) -> str:
        """The device that computes its actions: cpu, cuda."""
        return "cpu" if self._is_exported else next(self.policy.parameters()).device.type

    def reset(self, seed: int | Sequence[int] = 0) -> None:
        """Forgets the episode. A head's random samples until the next reset are a function of `seed`, one or more whole numbers from 0. Raises BadInput."""
        numbers = list(seed) if isinstance(seed, Sequence) and not isinstance(seed, str) else [seed]
        if not all(isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= 0 for number in numbers):
            raise BadInput(f"seed={shown(seed)}: must be one or more whole numbers from 0")
        self._seed, self._queries = [int(number) for number in numbers], 0
        self._told: tuple[str, NDArray[Any]] | None = None  # the instruction, and what it is to the policy
        self._chunks: list[NDArray[np.float32]] = []  # what is left of earlier chunks, from the present step on, oldest first
        self._last: Prediction | None = None
        self._own.restart()
        self._memory.restart()
        self.watch.restart()

    def act(self, obs: Mapping[str, Any]) -> NDArray[np.float32]:
        """The next `execute` actions, (execute, a) in [-1, 1], for one observation:

        frames uint8 (c, 2, h, w, 3), the newest frame that has arrived and the one `frame_gap` control steps before it; proprio float32 (s,), present;
        instruction str. For late pictures, the agent keeps the robot's own history itself (policy.history).
        With a fallback, frames may lack a camera: by name, or None. Raises BadInput if the observation is not what the policy was trained on.
        """
        return self.finish(self._answer() if self.read(obs) else None)

    def read(self, obs: Mapping[str, Any]) -> bool:
        """The first half of `act`: whether the policy is to be asked (`to_ask`); else a fallback holds still. Raises BadInput as `act` does."""
        obs = self.watch.look(obs)
        inputs = self.inputs(obs)
        self._proprio = np.asarray(obs["proprio"], np.float32)
        if self.watch.now is not None and self.watch.now.did == "hold":
            return False
        self._asked, self._past = inputs, self._memory.past()
        return True

    @property
    def to_ask(self) -> tuple[tuple[Any, ...], Float[Tensor, "1 n f"] | None]:
        """What the answer to the observation that was read is computed from: `inputs`, and the features of earlier moments that it remembers."""
        return self._asked, self._past

    def finish(self, answer: Prediction | None) -> NDArray[np.float32]:
        """The second half of `act`: what comes of the policy's answer to what was read, a batch of one; None where it was not asked."""
        self._last = answer
        if answer is None:
            self._chunks, actions = [], self.watch.hold(self.execute)
        else:
            actions = np.clip(self._joined(answer.actions[0].numpy()), -1.0, 1.0)
        self._queries += 1
        self._memory.add(None if answer is None else answer.features)
        self.watch.went(actions)
        self._own.add(self._proprio, actions)
        return actions

    def inputs(self, obs: Mapping[str, Any]) -> tuple[Any, NDArray[np.float32], NDArray[Any], NDArray[np.float32] | None]:
        """What the next answer is computed from: frames, what is known of the robot (own,), the instruction's code, and noise or None. Raises BadInput."""
        self.check(obs)
        if self._told is None or self._told[0] != obs["instruction"]:  # else it was read in this episode
            self._told = obs["instruction"], self.policy.language.code(obs["instruction"]).numpy()
            if self.known and (words := strange(obs["instruction"], self.known)):
                print(note(obs["instruction"], words, self.known), file=sys.stderr, flush=True)
                self.known |= set(words)
        own = self._own.beside(np.asarray(obs["proprio"], np.float32))
        frames = obs["frames"]
        if self.config.change == "future":  # what is there now, and what should be
            if self.goal is None or self.goal.shape != frames[:, 1].shape or self.goal.dtype != np.uint8:
                raise BadInput(f"goal: {'missing' if self.goal is None else f'found {self.goal.dtype} {self.goal.shape}'}; needs uint8 {frames[:, 1].shape}")
            frames = np.stack([frames[:, 1], self.goal], axis=1)
        return frames, own, self._told[1], self.noise()

    @property
    def asked(self) -> tuple[Any, ...] | None:
        """What the last answer was computed from, as `inputs` gives it; None where there was none."""
        return None if self._last is None else self._asked

    def chunk(self) -> NDArray[np.float32]:
        """All actions of the last answer, (k, a) in [-1, 1], of which `act` gave the first; (0, a) before it."""
        return np.zeros((0, self.config.action_dim), np.float32) if self._last is None else np.clip(self._last.actions[0].numpy(), -1.0, 1.0)

    def _answer(self, *without: str) -> Prediction:
        """To what was asked last, without these streams."""
        hidden = {*without, self.without} - {None}
        if not hidden and self._past is None:
            return self._ask(*self._asked)
        with self.policy.without(*hidden), self.policy.remembering(self._past):  # type: ignore[arg-type]
            return self._ask(*self._asked)

    def influence(self) -> dict[str, float] | None:
        """How much each stream that it sees moves its last answer: the mean difference of the numbers of the actions to be carried out, with and without
        it. Each costs a query. None before the first query, and where an exported file answers."""
        if self._last is None or self._is_exported:
            return None
        seen = [stream for stream in STREAMS if stream not in self.policy.unseen | {self.without}]
        answers = {stream: self._answer(stream).actions[0, : self.execute] for stream in seen}
        return {stream: float((answer - self._last.actions[0, : self.execute]).abs().mean()) for stream, answer in answers.items()}

    def shares(self) -> dict[str, float] | None:
        """How much of its last answer comes from each camera, proprio and the instruction, by leaving each out (policy.shares). Each costs a query."""
        if self._last is None:
            return None
        asked, now = self._asked, self._last.actions[0, : self.execute]
        others = left_out(asked, self.config.cameras, self.normalisation["proprio"].shift, self.policy.language.code("").numpy())
        differences = {}
        for name, other in others.items():
            self._asked = other
            differences[name] = float((self._answer().actions[0, : self.execute] - now).abs().mean())
        self._asked = asked
        return shares(differences)

    def noise(self) -> NDArray[np.float32] | None:
        """What the next answer will draw from, (z,); None where the head draws nothing."""
        return drawn(self._seed, self._queries, self.policy.head.noise) if self.policy.head.noise else None

    def _joined(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.ensemble is None:
            return chunk[: self.execute]
        self._chunks = [old for old in self._chunks if len(old)] + [chunk]
        actions = np.empty_like(chunk[: self.execute])
        for step in range(self.execute):
            known = np.stack([old[step] for old in self._chunks if len(old) > step])  # (chunks, a), oldest first
            weights = np.exp(-self.ensemble * np.arange(len(known), dtype=np.float32))
            actions[step] = (weights[:, None] * known).sum(axis=0) / weights.sum()
        self._chunks = [old[self.execute :] for old in self._chunks]
        return actions

    def attention(self) -> Look | None:
        """Where the policy looked at the last query; None before it, and for encoders that keep no space."""
        if self._last is None or self._last.keypoints is None or self._last.attention is None:
            return None
        rows, columns = self.policy.encoder.grid
        heat = self._last.attention[0].mean(dim=1)  # (c, n), n = grids · rows · columns
        heat = heat.reshape(len(heat), -1, rows, columns).sum(dim=1)
        return Look(self._last.keypoints[0].cpu().numpy(), heat.cpu().numpy())

    def word_attention(self) -> WordAttention | None:
        """Where words and patches attended at the last query. It costs a query. None before the first one, for joins in which they do not attend to each
        other, for encoders that keep no space, and where an exported file answers."""
        if self._last is None or self._is_exported or not self.policy.attends:
            return None
        with self.policy.attending() as told:
            self._answer()
        assert self._told is not None
        encoder = self.policy.encoder
        return on_grid(told, self.policy.language.labels(self._told[0]), encoder.grid, encoder.num_grids)

    def check(self, obs: Mapping[str, Any]) -> None:
        """Raises BadInput, in one line, unless the observation has the pictures, cameras and proprio this policy was trained on."""
        missing = [key for key in ("frames", "proprio", "instruction") if key not in obs]
        if missing:
            raise BadInput(f"observation: no {missing[0]}; needs frames, proprio, instruction")
        c = self.config
        frames, proprio = np.asarray(obs["frames"]), np.asarray(obs["proprio"])
        valid = (len(c.cameras), 2, c.size, c.size, 3)
        if frames.dtype != np.uint8 or frames.shape != valid:
            axes = f"(cameras {', '.join(c.cameras)}; earlier and present; rows; columns; RGB)"
            raise BadInput(f"observation: frames: found {frames.dtype} {frames.shape}, needs uint8 {valid}: {axes}")
        if proprio.shape != (c.proprio_dim,) or not np.issubdtype(proprio.dtype, np.floating):
            raise BadInput(f"observation: proprio: found {proprio.dtype} {proprio.shape}, needs float32 {(c.proprio_dim,)}")
        if not np.isfinite(proprio).all():
            raise BadInput("observation: proprio: has NaN or infinity")
        if not isinstance(obs["instruction"], str):
            raise BadInput(f"observation: instruction: found {type(obs['instruction']).__name__}, needs str")
