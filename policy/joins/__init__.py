"""Ways in which an instruction joins what a camera saw (spec B): `join=`.

Values are "module:class" of `policy.joins.join.Join`, so that the names can be listed without importing torch. A policy has one join a camera.
"""

from __future__ import annotations

JOINS: dict[str, str] = {
    "beside": "policy.joins.join:Join",
    "early": "policy.joins.early:Early",
    "late": "policy.joins.late:Late",
    "film": "policy.joins.film:Film",
    "points": "policy.joins.points:Points",
    "similarity": "policy.joins.similarity:Similarity",
    "nearby": "policy.joins.nearby:Nearby",
    "cross_attention": "policy.joins.cross_attention:CrossAttention",
    "averaged": "policy.joins.averaged:Averaged",
    "transformer": "policy.joins.transformer:Transformer",
    "hierarchical": "policy.joins.hierarchical:Hierarchical",
    "experts": "policy.joins.experts:Experts",
    "multi_scale": "policy.joins.multi_scale:MultiScale",
}
ATTENDING = "points", "cross_attention", "averaged", "transformer", "hierarchical"  # in these, words and patches attend to each other
UNNAMED_JOIN = "beside"  # of policies whose files name none
