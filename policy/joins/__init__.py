"""Ways in which an instruction joins what a camera saw (spec B): `join=`.

Values are "module:class" of `policy.joins.join.Join`, so that the names can be listed without importing torch. A policy has one join a camera.
"""

from __future__ import annotations

JOINS: dict[str, str] = {
    "beside": "policy.joins.join:Join",
}
UNNAMED_JOIN = "beside"  # of policies whose files name none
