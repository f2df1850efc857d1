"""Whether a decoder can draw what a policy wants, found from files alone: no simulator, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from policy.storage.stored import Stored


def drawable(name: str, stored: Stored, goal: str | None, decoder: str | None, demos: str | None = None, inverse: str | None = None) -> dict[str, Any]:
    """What `eval.playing.player.Player` is told of the drawing: decoder, demos and inverse; nothing without a decoder. `name`: of the policy.

    Raises BadInput, before anything is played, where the policy wants nothing that could be drawn, or the files are not there or of something else.
    """
    if decoder is None:
        return {}
    from policy.storage.decoder_files import streams_of_decoder
    from policy.training.inverse_files import has_planner, inverse_under

    plans = has_planner(stored.policy)
    if not plans and goal is None:
        raise BadInput(f"decoder={decoder}: {name} does not say what should change; it is for policies of head=planned, and for goals")
    streams_of_decoder(decoder, stored.policy.size, stored.config.get("streams_sha256"))
    if not plans:
        for option, value in (("demos", demos), ("inverse", inverse)):
            if value is not None:
                raise BadInput(f"{option}={value}: is for what a planner wants; what a goal shows is drawn as it is; leave it out")
        return {"decoder": decoder}
    if demos is None:
        raise BadInput(f"decoder={decoder}: of what a planner wants, the recorded change most like it is drawn; add demos=, what {name} learnt from")
    _check_demos(demos, stored)
    return {"decoder": decoder, "demos": demos, "inverse": str(inverse_under(stored, inverse).absolute())}


def _check_demos(folder: str, stored: Stored) -> None:
    from envs.demos.episodes import episode_paths, read_episode

    first = episode_paths(folder)[0]
    episode = read_episode(first, frames=False)
    found = {"cameras": tuple(episode.attrs["cameras"]), "size": int(episode.attrs["size"]), "proprio_dim": episode.proprio.shape[1]}
    for name, value in found.items():
        if value != (needed := getattr(stored.policy, name)):
            raise BadInput(f"demos={folder}: {first.name}: {name}={value}, but the policy needs {needed}")
