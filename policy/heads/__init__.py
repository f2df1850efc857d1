"""Heads: tokens of every camera, proprio and task embedding → a chunk of actions (spec A9). Values are "module:class"."""

from __future__ import annotations

HEADS: dict[str, str] = {"keypoints": "policy.heads.keypoints:KeypointHead"}
