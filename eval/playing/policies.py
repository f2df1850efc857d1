"""What can be rolled out: a learned policy, the task's scripted expert, and the floors `random` and `zero`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from eval.goals.desire import Desire
from eval.playing.rollout_policy import RolloutPolicy
from whatwhere.errors import choose

POLICIES = ("learned", "expert", "random", "zero", "deaf")


class Learned(RolloutPolicy):
    """A checkpoint's agent. It sees the observation and never `info`."""

    def __init__(self, agent: Any, wish: Any = None) -> None:
        """`wish`: draws what it wants (policy.probing.wish.Wish)."""
        self.agent, self.wish = agent, wish
        self.task = zlib.crc32(agent.checkpoint.config["task"].encode())

    def reset(self, seed: int, episode: int) -> None:
        self.agent.reset([self.task, seed, episode])

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        return self.agent.act(obs)  # (k, a)

    def attention(self) -> Any:
        return self.agent.attention()

    def word_attention(self) -> Any:
        return self.agent.word_attention()

    def wanted(self) -> Desire | None:
        pictures = None if self.wish is None else self.wish.pictures()
        return None if pictures is None else Desire((("wanted", pictures),), self.agent.config.ahead)

    def fallen(self) -> Any:
        return self.agent.watch.now

    def shares(self) -> dict[str, float] | None:
        return self.agent.shares()

    def influence(self) -> dict[str, float] | None:
        return self.agent.influence()

    def computed(self) -> dict[str, str]:
        """The way, and the device where it is not the processor."""
        device = str(self.agent.device)
        return {"inference": self.agent.inference} | ({} if device == "cpu" else {"device": device})


class Expert(RolloutPolicy):
    """A scripted expert (`envs.experts`): one action a step, from the privileged state."""

    def __init__(self, expert: Any) -> None:
        self.expert = expert

    def reset(self, seed: int, episode: int) -> None:
        self.expert.reset()

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        return np.asarray(self.expert.act(info))[None]  # (1, a)


class Deaf(Expert):
    """A scripted expert that does not hear the instruction: each episode's things are drawn from seed and episode."""

    def reset(self, seed: int, episode: int) -> None:
        self.expert.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, episode])))
        super().reset(seed, episode)


class Blind(RolloutPolicy):
    """A policy that sees nothing (`random`, `zero`), asked for a chunk at a time, so that nothing is drawn for it in between."""

    def __init__(self, make: Callable[[np.random.Generator], Any], chunk: int = 4) -> None:
        """`make(rng)` gives a policy with `act(info) -> (a,)`; each episode gets one with a generator of its own."""
        self.make, self.chunk = make, chunk

    def reset(self, seed: int, episode: int) -> None:
        self.policy = self.make(np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, episode]))))

    def act(self, obs: dict[str, Any], info: dict[str, Any]) -> np.ndarray:
        return np.stack([self.policy.act({}) for _ in range(self.chunk)])  # (k, a)


def learned(
    checkpoint: str, device: str, execute: int | None = None, inference: str = "auto", without: str | None = None, towards: bool = False, fallback: str = "none"
) -> Learned:
    """A checkpoint by name or folder; `execute`: how many actions a query, None: as the checkpoint says; `without`: a stream that is taken away;
    `towards`: it is an inverse model, which needs a goal (eval.playing.towards); `fallback`: as of `policy.agent.Agent`.

    Raises BadInput for a bad one.
    """
    from policy.agent import Agent

    options: dict[str, Any] = {"execute": execute, "inference": inference, "without": without, "towards": towards, "fallback": fallback}
    return Learned(Agent.from_pretrained(checkpoint, device=device, **options))


def scripted(policy: str, task: str, action_dim: int, expert: str | None = None) -> RolloutPolicy:
    """`expert` (module:Class, or the task's own), `deaf`, `random` or `zero`, for actions of `action_dim` numbers. Raises BadInput for another name."""
    from envs.experts import DeafExpert, RandomPolicy, ZeroPolicy, expert_class

    choices: dict[str, Callable[[], RolloutPolicy]] = {
        "expert": lambda: Expert(expert_class(task, expert)()),
        "deaf": lambda: Deaf(DeafExpert(expert_class(task)(), task, np.random.default_rng(0))),
        "random": lambda: Blind(lambda rng: RandomPolicy(action_dim, rng)),
        "zero": lambda: Blind(lambda rng: ZeroPolicy(action_dim)),
    }
    return choices[choose("policy", policy, choices)]()
