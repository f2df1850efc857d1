"""`align=FOLDER`: a policy that is told where the thing lies that its instruction names, by what play has taught (`python -m policy.align`).

What was aligned is copied into the policy and frozen: demonstrations teach the motion alone. Imports torch only where the policy is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy.storage.aligned import Record, find_alignment, load_alignment, read_alignment
from policy.storage.stored import default_streams, streams_record
from whatwhere.errors import BadInput

if TYPE_CHECKING:
    from policy.model import Policy


def streams_of(align: str, streams: str | None) -> Path:
    """The folder of the streams whose patches were aligned: `streams`, those beside the alignment, or the shipped ones. Raises BadInput for others."""
    folder = find_alignment(align)
    record = read_alignment(folder)
    beside = folder / "streams" / record["streams_sha256"][:16]
    found = Path(streams) if streams else beside if beside.is_dir() else default_streams()
    if (sha256 := streams_record(found)["sha256"]) != record["streams_sha256"]:
        raise BadInput(f"align={align}: words were aligned with streams {record['streams_sha256'][:16]}, and these are {sha256[:16]}; give streams=FOLDER")
    return found


def sizes(align: str) -> dict[str, Any]:
    """What a policy's configuration says of its language."""
    from policy.aligning.alignment import WORDS_DIM

    record: Record = read_alignment(find_alignment(align))
    return {"task_dim": WORDS_DIM, "vocabulary": tuple(record["vocabulary"]), "names": tuple(record["names"])}


def put_in(policy: Policy, align: str) -> str:
    """Copies what was aligned into the policy, and freezes it. Returns its sha256."""
    alignment, record = load_alignment(find_alignment(align))
    policy.language.load_state_dict(alignment.language.state_dict())
    given = alignment.join.state_dict()
    for join in policy.joins:
        join.load_state_dict(join.state_dict() | given)  # join=nearby has more
        for name, parameter in join.named_parameters():
            parameter.requires_grad_(name not in given)
    policy.encoder.mark.data.zero_()  # patches as they were when words met them
    for part in (policy.language, policy.encoder):
        part.requires_grad_(False)
    return record["sha256"]
