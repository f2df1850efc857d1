"""Joining M and P token by token (spec A4, A11, A13, A14): `fusion=` for patches, `cls_fusion=` for CLS, `sharing=`.

Values are "module:class", so that the names can be listed without importing torch. A fusion takes `dim` and maps
(m, p), both (b, n, d), to (b, n, d).
"""

from __future__ import annotations

FUSIONS: dict[str, str] = {
    "linear": "policy.fusion.linear:Linear",
    "mlp": "policy.fusion.mlp:Mlp",
    "cross_attention": "policy.fusion.cross_attention:CrossAttention",
    "gating": "policy.fusion.gating:Gating",
}
CLS_FUSIONS: dict[str, str] = FUSIONS | {"cross_attention": "policy.fusion.cross_attention:PairAttention"}
SHARINGS = ("separate", "shared")
USUAL = ("linear", "linear", "separate")  # fusion, cls_fusion, sharing


def told(fusion: str | None = None, cls_fusion: str | None = None, sharing: str | None = None) -> str | None:
    """How streams are joined, for rows and names: `gating`, `linear, CLS gating`, `linear, shared`; None where it is the usual way. None means the usual."""
    chosen = patches, cls, shared = tuple(value or usual for value, usual in zip((fusion, cls_fusion, sharing), USUAL, strict=True))
    said = patches + (f", CLS {cls}" if cls != patches else "") + (f", {shared}" if shared != USUAL[2] else "")
    return None if chosen == USUAL else said
