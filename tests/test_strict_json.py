from __future__ import annotations

import pytest

from whatwhere.errors import BadInput, shown
from whatwhere.strict_json import Malformed, parse


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"a": 1, "a": 2}', "a.json: the key 'a' stands twice in one object"),
        (b'{"a": [1, NaN]}', "a.json: a[1]: needs a finite number, found nan"),
        (b'{"a": {"b": -Infinity}}', "a.json: a.b: needs a finite number, found -inf"),
        (b'{"a": 1e999}', "a.json: a: needs a finite number, found inf"),
        (b'{"a": ["\\ud800"]}', "a.json: a[0]: needs text, found half a character ('\\ud800')"),
        (b'{"\\ud800": 1}', "a.json: needs text, found half a character ('\\ud800')"),
        (b'{"a": 9223372036854775808}', "a.json: a: needs a number of at most 64 bits, found 9223372036854775808"),
        (b"9" * 5000, "a.json: holds a whole number of thousands of digits"),
        (b"[" * 65 + b"]" * 65, "a.json: nested deeper than 64"),
        (b"[" + b"[]," * (11 << 20) + b"[]]", "a.json: 34603012 bytes of JSON; at most 33554432 are read"),
        (b"[" * 100_000, "a.json: nested deeper than 64"),
        (b'{"a":' * 100_000, "a.json: nested deeper than 64"),
        ('{"a": 1}'.encode("utf-16"), "a.json: not JSON in UTF-8"),
        (b"\xff\xfe\x00", "a.json: not JSON in UTF-8"),
        (b"", "a.json: not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[1] 2", "a.json: not JSON (Extra data: line 1 column 5 (char 4))"),
    ],
    ids=range(16),
)
def test_what_is_no_json_or_no_text_or_out_of_range_is_refused_with_its_place(text: bytes, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text, "a.json")
    assert str(caught.value) == told


def test_what_is_json_comes_back() -> None:
    assert parse(b'\xef\xbb\xbf{"\xc3\xbc": [1, -2.5, true, null, "\\u00e9 \\ud83d\\ude00", 9223372036854775807, 1e300]}', "") == {
        "ü": [1, -2.5, True, None, "é 😀", 2**63 - 1, 1e300]
    }
    assert parse("[" * 64 + "]" * 64, "")[0] is not None


@pytest.mark.parametrize("length", range(1, 25))
def test_the_beginning_of_a_text_is_told_from_a_damaged_one(length: int) -> None:
    whole = '{"a": {"b": ["ü"]}, "c": 1}'.encode()
    with pytest.raises(Malformed) as cut:
        parse(whole[:length], "")
    assert cut.value.cut_off
    with pytest.raises(Malformed) as damaged:
        parse(whole[:length] + b"\x00" + whole[length + 1 :], "")
    assert not damaged.value.cut_off


def test_what_is_shown_of_a_value_is_short_and_can_be_printed() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in ("x" * 10_000, "\ud800\n\x1b", nested, 10**5000, {"a": "b" * 1000}, None):
        text = shown(value)
        assert len(text) <= 80 and text.isprintable() and text.encode()
    assert shown("ü\n") == r"'ü\n'"
