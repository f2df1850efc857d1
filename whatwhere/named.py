"""Extension points are dicts of "module:class": names can be listed without importing torch, classes come when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from whatwhere.errors import choose


def named(field: str, name: str, table: Mapping[str, str]) -> Any:
    """The class that `table` gives `name`. Raises BadInput naming `field` and the choices."""
    module, attribute = table[choose(field, name, table)].split(":")
    return getattr(importlib.import_module(module), attribute)
