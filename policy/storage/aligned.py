"""What `python -m policy.align` makes, on disk: `model.safetensors` and `config.json` in a folder, over streams that are named by their sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from msgspec import Meta

from policy.config import MOST_WORDS
from policy.storage import FORMAT
from policy.storage.records import Format, Grid, Tensors, Width
from policy.storage.stored import SHIPPED, default_streams
from policy.storage.tensorfile import CONFIG, MODEL, check_tensors
from whatwhere.errors import BadInput, about
from whatwhere.files import atomic, read_json, write_json
from whatwhere.schema import Name, Sha256
from whatwhere.versions import stamp

if TYPE_CHECKING:
    from policy.aligning.alignment import Alignment

BESIDE = "words"  # its folder beside the shipped streams
Wordlist = Annotated[list[Name], Meta(min_length=1, max_length=MOST_WORDS)]


class Record(TypedDict):
    """`config.json`; more is kept."""

    format: Format
    kind: Literal["alignment"]
    sha256: Sha256
    streams_sha256: Sha256
    dim: Width  # of a stream's token
    grid: Grid
    vocabulary: Wordlist
    names: Wordlist
    tensors: Tensors


def save_alignment(alignment: Alignment, folder: Path, record: Mapping[str, Any]) -> None:
    """`record`: what `Record` wants beside what is known here, and how it was trained. `config.json` comes last."""
    from policy.storage.weights import serialise

    data, tensors = serialise(alignment)
    with atomic(folder / MODEL) as path:
        path.write_bytes(data)
    told = {"format": FORMAT, "kind": "alignment", "sha256": hashlib.sha256(data).hexdigest(), **record, "tensors": tensors, "versions": stamp()}
    write_json(folder / CONFIG, told)


def find_alignment(name_or_folder: str) -> Path:
    """The folder of an alignment; `SHIPPED`: the one beside the shipped streams. Raises BadInput."""
    folder = default_streams() / BESIDE if name_or_folder == SHIPPED else Path(name_or_folder)
    if not (folder / CONFIG).is_file():
        raise BadInput(f"align={name_or_folder}: no {CONFIG} there; make one with python -m policy.align out={name_or_folder}, or use {SHIPPED}")
    return folder


def read_alignment(folder: Path) -> Record:
    """Its record, the weights checked. Raises BadInput."""
    record = read_json(folder / CONFIG, Record)
    check_tensors(folder / MODEL, {"sha256": record["sha256"]}, record["tensors"])
    return record


def load_alignment(folder: Path) -> tuple[Alignment, Record]:
    """In eval mode, with its record. Raises BadInput."""
    record = read_alignment(folder)

    from policy.aligning.alignment import Alignment
    from policy.storage.weights import restored

    def make() -> Alignment:
        return Alignment(record["dim"], (record["grid"][0], record["grid"][1]), tuple(record["vocabulary"]), tuple(record["names"]))

    with about(str(folder / CONFIG)):
        return restored(make, {"": folder / MODEL}).eval(), record
