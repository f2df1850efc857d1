"""Where a decoder of changes lies, and whether it is one for what a policy sees, found from files alone. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from policy.storage.picture_tool import DECODER, find_tool
from policy.storage.records import Decoder
from policy.storage.stored import SHIPPED, default_streams
from whatwhere.errors import BadInput


def find_decoder(given: str | Path, option: str = "decoder") -> tuple[Path, Decoder]:
    """Its folder and its record; `given` is that folder, the OUT of the run that wrote it, or `shipped`. Raises BadInput, naming `option`."""
    return find_tool(given, DECODER, option, Decoder)


def streams_of_decoder(out: str, size: int, sha256: str | None = None) -> Path:
    """The folder of the streams that the decoder in `out` was taught over.

    `size`: pixels of the policy's pictures; `sha256`: of the policy's streams, None where it has none of its own or none that are kept apart.
    Raises BadInput where the streams are not there, or size or streams differ.
    """
    record = find_decoder(out)[1]
    streams = default_streams() if out == SHIPPED else Path(out) / "streams" / record["streams_sha256"][:16]
    if not streams.is_dir():
        raise BadInput(f"decoder={out}: the streams that it was taught over are not in {streams.parent}; give the OUT of the run, whole")
    if record["size"] != size:
        raise BadInput(f"decoder={out}: draws {record['size']} px, but the policy sees {size} px")
    if sha256 not in (None, record["streams_sha256"]):
        found, needed = record["streams_sha256"][:16], str(sha256)[:16]
        raise BadInput(f"decoder={out}: draws changes that the streams {found} see, but the policy looks through {needed}; train one with init=, its streams")
    return streams
