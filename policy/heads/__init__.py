"""Heads: features → a chunk of actions. One reader (policy.heads.reader) makes the features out of the cameras' tokens, whatever the head."""

from __future__ import annotations

HEADS: dict[str, str] = {  # "module:class" of policy.heads.decoder.Decoder
    "l1": "policy.heads.l1:L1",
    "binary": "policy.heads.binary:Binary",
    "mixture": "policy.heads.mixture:Mixture",
    "flow": "policy.heads.flow:Flow",
    "mip": "policy.heads.mip:Mip",
    "planned": "policy.heads.planned:Planned",
}
WITH_BINARY = ("binary", "planned")  # heads that choose between two values
WITH_PLANNER = ("planned",)  # heads of two parts: what should change, and the actions that make it change
DEFAULT = "binary"  # of `policy.finetune`
UNNAMED = "l1"  # the head of policies whose rows and settings name none
EARLIER_NAMES = {"keypoints": "l1"}  # in files of earlier versions
