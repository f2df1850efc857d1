"""An environment that is told a sentence of the user's own: what the sentence names is what counts."""

from __future__ import annotations

from typing import Any

from envs.language.heard import heard, order


class Spoken:
    """`env` with `sentence` in place of its instruction. Where things can be named, success and position error are those of the things that it names.

    `unclear`: why the sentence names none of them, after `reset`; None if it does. `own`: the instruction by which the task judges, where nothing can be named.
    """

    def __init__(self, env: Any, sentence: str) -> None:
        self.env, self.sentence = env, sentence
        self.unclear: str | None = None
        self.own: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, *, seed: int, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        self.own = None if self.env.things else obs["instruction"]
        if self.env.things:
            try:
                obs, info = self.env.mean(order(heard(self.sentence, self.env.task), self.env.things, self.env.task))
            except ValueError as reason:
                self.unclear = str(reason)
        return obs | {"instruction": self.sentence}, info

    def step_chunk(self, actions: Any, on_step: Any = None) -> tuple[Any, ...]:
        obs, *rest = self.env.step_chunk(actions, on_step=on_step)
        return obs | {"instruction": self.sentence}, *rest
