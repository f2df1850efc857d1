"""Is an exported file whole, and is it this checkpoint's? Looked at before it is run; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from policy.storage.records import Listed
from policy.storage.tensorfile import check_file
from whatwhere.errors import BadInput
from whatwhere.files import read_json
from whatwhere.schema import Sha256


class Record(TypedDict):
    """What `policy.export.about` wrote, as far as it is asked here."""

    format: Annotated[Literal[1], Meta(description="1, the format that this version reads")]
    sha256: Sha256  # of the checkpoint's weights
    streams_sha256: NotRequired[Sha256 | None]
    file: Listed


def record_path(path: Path) -> Path:
    """The JSON beside an exported file: policy.onnx → policy.onnx.json."""
    return path.with_name(f"{path.name}.json")


def verified(path: str | Path, sha256: str | None = None) -> Record:
    """The record of an exported file that was found whole; `sha256`: of the weights that it must be made of. Raises BadInput."""
    path = Path(path)
    record = read_json(record_path(path), Record)
    check_file(path, record["file"], record_path(path))
    if sha256 not in (None, record["sha256"]):
        raise BadInput(f"inference={path}: made of the weights {record['sha256'][:16]}, not of {str(sha256)[:16]}: export this checkpoint")
    return record
