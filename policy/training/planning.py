"""What a planner learns from: the changes that followed in each demonstration, as an inverse model codes them, and the actions that it takes them for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from policy.model import Policy
from policy.training.dataset import Demos
from policy.training.inverse_files import INVERSE, taught_by
from policy.training.settings import Settings
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from policy.storage.checkpoint import Checkpoint


@dataclass(frozen=True)
class Planning:
    """Of each sample: the code of the change that followed, the inverse model's actions, those that were carried out, and whether these are known."""

    desired: Float[Tensor, "t z"]
    actions: Float[Tensor, "t k a"]
    made: Float[Tensor, "t k a"]
    recorded: Bool[Tensor, " t"]

    @staticmethod
    def of(codes: tuple[Tensor, Tensor], demos: Demos, known: int | str) -> Planning:
        """`known`: all, none, or of how many demonstrations the actions are known."""
        most = {"all": len(demos), "none": 0}.get(known, 0) if isinstance(known, str) else known
        made, recorded = (torch.from_numpy(array).to(codes[0].device) for array in (demos.executed(), demos.episode < most))
        return Planning(*codes, made, recorded)

    def beside(self, rows: Tensor) -> dict[str, Any]:
        """What `Planned.loss` is told of a batch beside features and actions."""
        beside = {"desired": self.desired[rows]}
        return beside | {"made": self.made[rows], "recorded": self.recorded[rows]} if bool(self.recorded.any()) else beside


def before(settings: Settings) -> Settings:
    """Of the inverse model that is learnt before a planner, from the same demonstrations."""
    return dataclasses.replace(settings, change="future", join="beside", out=str(settings.folder / INVERSE))


def onto(policy: Policy, inverse: Policy, frozen: bool) -> None:
    """Gives a policy the part of the inverse model that acts. `frozen`: nothing is known of which it could learn more. Raises BadInput if it does not fit."""
    mine, theirs = policy.head.act, inverse.head.act
    sizes = [{name: tuple(value.shape) for name, value in act.state_dict().items()} for act in (mine, theirs)]  # type: ignore[union-attr]
    if sizes[0] != sizes[1]:
        raise BadInput("inverse: its part that acts has other sizes than this policy's; train it with the same chunk, robot and head_parameters")
    mine.load_state_dict(theirs.state_dict())  # type: ignore[union-attr, arg-type]
    if frozen:
        mine.requires_grad_(False)  # type: ignore[operator]


def of_inverse(settings: Settings, demos: Demos, inverse: Checkpoint | None) -> dict[str, Any]:
    """What a planned policy's record says of the actions that it learnt from; the starts of those demonstrations are starts of its training, too."""
    if settings.change == "future":
        return {"demonstrations": len(demos.init_hashes)} | ({"played": demos.played} if demos.played else {})
    if inverse is None:
        return {}
    theirs = inverse.config["training"]
    told = {"actions_from": actions_from(settings, inverse.config)}
    if settings.inverse is None:
        return told
    digests = dict.fromkeys([*(digest for digest in demos.init_hashes if digest != "None"), *theirs.get("start_hashes", ())])
    return told | {"inverse_sha256": inverse.sha256, "start_hashes": list(digests)}


def actions_from(settings: Settings, inverse: dict[str, Any]) -> str:
    """`25 of pick_at_xy`, or `50 of place_left_of+stack_centered`, or `40 of play in pick_at_xy`, or several with commas."""
    own = {"all": settings.num_demos, "none": 0}.get(str(settings.actions), settings.actions)
    theirs = [taught_by(inverse["task"], inverse["training"])] if settings.inverse is not None else []
    return ", ".join([*theirs, *([f"{own} of {settings.task_name}"] if own else [])])
