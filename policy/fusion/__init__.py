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
