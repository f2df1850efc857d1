"""Scenes, sentences and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envs.instruction import check_instruction
from eval.observers import Observer
from eval.playing.policies import Learned
from eval.playing.rollout_policy import RolloutPolicy
from eval.rollout import rollout
from eval.saying.spoken import Spoken
from policy.language.strange import note, strange
from policy.language.vocabulary import words_of
from whatwhere.errors import BadInput


@dataclass(frozen=True)
class Said:
    """A sentence and what came of it. `success` and `error_cm` are None where it names nothing that is there: `unclear` says why."""

    sentence: str
    success: bool | None
    error_cm: float | None
    steps: int
    unclear: str | None = None
    own: str | None = None
    failure: str | None = None

    @property
    def outcome(self) -> str:
        """In words."""
        if self.success is None:
            return f"not judged: {self.unclear}"
        return "success" if self.success else self.failure or "no success"

    def __str__(self) -> str:
        error = "" if self.error_cm is None else f" · position error {self.error_cm:.2f} cm"
        is_other = self.own is not None and words_of(self.own) != words_of(self.sentence)
        judged = f" · judged as “{self.own}”, the task's own instruction" if is_other else ""
        return f"“{self.sentence}” · {self.outcome}{error} · {self.steps} steps{judged}"


class Session:
    """Scene after scene of one seed. Each sentence begins at the scene's start, so that several can be tried in one scene."""

    def __init__(self, env: Any, policy: RolloutPolicy, seed: int, first: int = 0) -> None:
        self.env, self.policy, self.seed, self.episode = env, policy, seed, first
        self.show()
        agent = policy.agent if isinstance(policy, Learned) else None
        if agent is not None and not agent.known and not env.things:
            agent.known = set(words_of(self.example))  # earlier checkpoints do not say it, but their task has one sentence

    def show(self) -> None:
        """Puts the scene at its start."""
        obs, self.info = self.env.reset(seed=self.seed, options={"episode": self.episode})
        self.things = [str(thing) for thing in sorted(self.env.things, key=str)]
        self.example: str = obs["instruction"]  # what this scene would be asked for
        self.frames = obs["frames"]

    def next(self) -> None:
        """Another scene."""
        self.episode += 1
        self.show()

    @property
    def scene(self) -> str:
        """What is in it, in words."""
        return f"scene {self.episode}: {', '.join(self.things)}" if self.things else f"scene {self.episode}, for “{self.example}”"

    def check(self, sentence: str) -> str:
        """The sentence as it is played. Raises BadInput for one that cannot be."""
        sentence = sentence.strip()
        if not sentence:
            raise BadInput("instruction: empty; say what the robot is to do")
        check_instruction(self.env.task, sentence)
        return sentence

    def note(self, sentence: str) -> str | None:
        """One line with the words that the policy never saw, each named once in a session; None if there are none."""
        agent = self.policy.agent if isinstance(self.policy, Learned) else None
        words = strange(sentence, agent.known) if agent is not None and agent.known else []
        if agent is None or not words:
            return None
        line = note(sentence, words, agent.known)
        agent.known |= set(words)
        return line

    def play(self, sentence: str, observers: Sequence[Observer] = ()) -> Said:
        """Does what a sentence that was checked says, from the start of the scene."""
        spoken = Spoken(self.env, sentence)
        row = rollout(spoken, self.policy, self.seed, self.episode, observers)
        if spoken.unclear is not None:
            return Said(sentence, None, None, row["steps"], spoken.unclear)
        return Said(sentence, row["success"], row["position_error_cm"], row["steps"], own=spoken.own, failure=row["failure"])
