from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from msgspec import Meta

from whatwhere.errors import BadInput
from whatwhere.schema import Hz, Name, Pixels, Sha256, checked


class Part(TypedDict):
    size: Pixels
    hz: Hz


class Record(TypedDict):
    format: Literal[1]
    part: Part
    parts: dict[Name, Part]
    sizes: Annotated[list[Pixels], Meta(max_length=3)]
    start: NotRequired[tuple[int, int]]
    sha256: NotRequired[Sha256 | None]
    other: NotRequired[Part | None]


GOOD: dict[str, Any] = {"format": 1, "part": {"size": 96, "hz": 20}, "parts": {"a": {"size": 1, "hz": 2.5}}, "sizes": [1, 2], "more": {"x": []}}


def test_what_fits_comes_back_as_it_was() -> None:
    assert checked(GOOD, Record, "a.json") is GOOD
    more = {**GOOD, "sha256": None, "other": None, "start": [0, 1]}
    assert checked(more, Record, "a.json") is more


CASES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: r.update(format=2), "format: needs 1, found 2"),
    (lambda r: r.update(format=True), "format: needs 1, found True"),
    (lambda r: r.pop("part"), "part: missing"),
    (lambda r: r.update(part=[]), "part: needs an object, found []"),
    (lambda r: r["part"].pop("hz"), "part.hz: missing"),
    (lambda r: r["part"].update(size="96"), "part.size: needs a whole number from 1 to 4096, found '96'"),
    (lambda r: r["part"].update(size=10**30), f"part.size: needs a whole number from 1 to 4096, found {10**30}"),
    (lambda r: r["part"].update(hz=0), "part.hz: needs a finite number above 0 and at most 1000, found 0"),
    (lambda r: r["part"].update(hz=float("nan")), "part.hz: needs a finite number above 0 and at most 1000, found nan"),
    (lambda r: r["part"].update(hz=10**400), f"part.hz: needs a finite number above 0 and at most 1000, found 1{78 * '0'}…"),
    (lambda r: r["parts"]["a"].update(size=[]), "parts.a.size: needs a whole number from 1 to 4096, found []"),
    (lambda r: r["parts"].update({"": r["part"]}), "parts.'': needs a text of 1 to 255 characters, found ''"),
    (lambda r: r["sizes"].append(0), "sizes[2]: needs a whole number from 1 to 4096, found 0"),
    (lambda r: r.update(sizes=[1] * 4), "sizes: needs a list of 0 to 3, found [1, 1, 1, 1]"),
    (lambda r: r.update(start=[0]), "start: needs a list of 2, found [0]"),
    (lambda r: r.update(start=[0, None]), "start[1]: needs a whole number, found None"),
    (lambda r: r.update(sha256="x"), "sha256: needs a sha256 (64 hexadecimal digits) or null, found 'x'"),
    (lambda r: r.update(other={"size": 1}), "other.hz: missing"),
    (lambda r: r.update(other=1), "other: needs an object or null, found 1"),
]


@pytest.mark.parametrize(("change", "told"), CASES, ids=[told for _, told in CASES])
def test_what_does_not_fit_is_refused_with_place_found_and_valid(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    record = copy.deepcopy(GOOD)
    change(record)
    with pytest.raises(BadInput) as caught:
        checked(record, Record, "a.json")
    assert str(caught.value) == f"a.json: {told}"


def test_another_value_altogether() -> None:
    for value in ([], None, 1, "x"):
        with pytest.raises(BadInput, match=r"a\.json: needs an object, found"):
            checked(value, Record, "a.json")
