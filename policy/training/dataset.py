"""Recorded episodes → training samples: frame pairs of the past, proprio, and the chunk of actions that followed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from envs.demos.episodes import Episode, episode_paths, read_episode
from policy.training.mirror import Mirror
from whatwhere.counted import counted
from whatwhere.errors import BadInput

PLAY = "play"  # the `source` of episodes in which nothing was to be done (envs.demos.collect)


@dataclasses.dataclass(frozen=True)
class Demos:
    """All steps of some episodes, one after the other.

    Sample i sees `frames[previous[j]]` and `frames[j]` (change=past), j being `seen[i]`, is told `own[i]` of the robot and learns `chunks[i]`. As loaded, j is
    i and `own` is `proprio`; `policy.training.late` makes others of them.
    """

    frames: UInt8[np.ndarray, "t c h w 3"]
    previous: Int[np.ndarray, " t"]
    seen: Int[np.ndarray, " t"]
    first: Int[np.ndarray, " t"]  # row of the episode's first step
    last: Int[np.ndarray, " t"]
    proprio: Float[np.ndarray, "t s"]
    own: Float[np.ndarray, "t own"]
    sent: Float[np.ndarray, "t a"]  # the actions that were carried out, noise included
    chunks: Float[np.ndarray, "t k a"]
    valid: Bool[np.ndarray, "t k"]
    instructions: tuple[str, ...]  # the different ones
    told: Int[np.ndarray, " t"]  # which of them each sample has
    attrs: dict
    init_hashes: tuple[str, ...]
    starts: tuple[tuple[int, int], ...]  # (seed, episode) of those that know theirs
    digest: str
    corrections: int = 0  # episodes in which a policy acted and the expert corrected it (eval.correct)
    played: int = 0  # episodes of play, which are no demonstrations (envs.experts.play)
    originals: tuple[dict, ...] = ()  # what those were made of that envs.demos.multiply made: file, sha256, seed, episode, init_hash of each
    mirrored: bool = False  # whether an image of each is among them

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def episode(self) -> Int[np.ndarray, " t"]:
        """The number of the demonstration that each sample is of; a mirror image has that of its original."""
        return np.unique(self.first, return_inverse=True)[1] // (2 if self.mirrored else 1)

    def executed(self) -> Float[np.ndarray, "t k a"]:
        """As `chunks`, but the actions that were carried out, noise included: those that made what then changed."""
        return self.sent[np.minimum(np.arange(len(self))[:, None] + np.arange(self.chunks.shape[1]), self.last[:, None])]

    def ahead(self, steps: int) -> Int[np.ndarray, " t"]:
        """The row `steps` later in the same episode, or its last one."""
        return np.minimum(np.arange(len(self)) + steps, self.last)

    def later(self, steps: int, copies: int, far: float) -> Int[np.ndarray, "r t"]:
        """For each of several copies of the samples, `ahead`; in a share `far` of them, but not in copy 0, any later row of the same episode."""
        rng, now = np.random.default_rng([copies, len(self)]), np.arange(len(self))
        table = np.tile(self.ahead(steps), (copies, 1))
        chosen, drawn = rng.random(table.shape) < far, rng.integers(now, self.last + 1, table.shape)
        chosen[0] = False
        return np.where(chosen, drawn, table)

    @property
    def said(self) -> str:
        """A digest of the samples' instructions, which `digest` leaves out."""
        return hashlib.sha256("\n".join((*self.instructions, str(self.told.tolist()))).encode()).hexdigest()[:16]


def load_demos(folder: str | Path, num_demos: int, chunk: int, after: Demos | None = None, mirror: Mirror | None = None, failed: bool = False) -> Demos:
    """The first `num_demos` episodes of `folder` (nested: the first 5 are among the first 10), with chunks of `chunk` actions, or so many `after` others of it.

    With a `mirror` that fits them each is followed by its image. `failed`: episodes that did not succeed, and play, are as good as others.

    Raises BadInput if there are too few, one is damaged or (unless `failed`) failed or play, or they mix tasks, versions, rendering, sizes or cameras.
    """
    paths = episode_paths(folder)
    first, asked = (0, f"num_demos={num_demos}") if after is None else (len(after.init_hashes), f"num_demos={len(after.init_hashes)} held_out={num_demos}")
    if len(paths) < first + num_demos:
        raise BadInput(f"demos={folder}: holds {counted(len(paths), 'episode')}, {asked} asks for more; collect more or lower it")
    frames, previous, bounds, proprio, sent, chunks, valid, hashes, starts = [], [], [], [], [], [], [], [], []
    instructions: dict[str, int] = {}
    told: list[np.ndarray] = []
    originals: dict[str, dict] = {}
    corrections = played = 0
    digest, attrs, start, is_image = hashlib.sha256(), None if after is None else after.attrs, 0, False
    for path, episode, is_image in _episodes(paths[first : first + num_demos], mirror, failed):
        assert episode.frames is not None
        _same(path, attrs, episode.attrs)
        attrs = episode.attrs
        length, gap = len(episode.actions), int(episode.attrs["frame_gap"])
        frames.append(episode.frames[:length])
        previous.append(start + np.maximum(np.arange(length) - gap, 0))
        told.append(np.full(length, instructions.setdefault(episode.instruction, len(instructions))))
        bounds.append(np.tile([[start], [start + length - 1]], length))
        proprio.append(episode.proprio[:length])
        sent.append(episode.actions if episode.executed_actions is None else episode.executed_actions)
        future = np.arange(length)[:, None] + np.arange(chunk)  # (t, k)
        chunks.append(episode.actions[np.minimum(future, length - 1)])
        valid.append(future < length)
        hashes += [] if is_image else [str(episode.attrs["init_hash"])]
        if not is_image and episode.attrs.get("seed") is not None and episode.attrs.get("episode") is not None:
            starts.append((int(episode.attrs["seed"]), int(episode.attrs["episode"])))
        originals |= {original["sha256"]: original for original in episode.attrs.get("multiplied", {}).get("originals", ())}
        corrections += "corrected" in episode.attrs and not is_image
        played += episode.attrs.get("source") == PLAY and not is_image
        for array in (frames[-1], episode.actions, proprio[-1]):
            digest.update(np.ascontiguousarray(array).tobytes())
        start += length
    assert attrs is not None
    first_rows, last_rows = np.concatenate(bounds, axis=1)
    own = np.concatenate(proprio).astype(np.float32)
    return Demos(
        frames=np.concatenate(frames),
        previous=np.concatenate(previous),
        seen=np.arange(start),
        first=first_rows,
        last=last_rows,
        proprio=own,
        own=own,
        sent=np.concatenate(sent).astype(np.float32),
        chunks=np.concatenate(chunks).astype(np.float32),
        valid=np.concatenate(valid),
        instructions=tuple(instructions),
        told=np.concatenate(told),
        attrs=attrs,
        init_hashes=tuple(hashes),
        starts=tuple(starts),
        digest=digest.hexdigest()[:16],
        corrections=corrections,
        played=played,
        originals=tuple(originals.values()),
        mirrored=is_image,
    )


def _episodes(paths: Sequence[Path], mirror: Mirror | None, failed: bool) -> Iterator[tuple[Path, Episode, bool]]:
    """Each episode, and then its image, if there is one. Raises BadInput for play and for one that failed, unless those are welcome."""
    for path in paths:
        episode = read_episode(path)
        if episode.attrs.get("source") == PLAY and not failed:
            raise BadInput(f"{path}: is play, which nobody is to imitate; an inverse model learns from it: head=planned change=future (docs/planner.md)")
        if not episode.success and not failed:
            raise BadInput(f"{path}: a failed episode; only successful ones are demonstrations")
        yield path, episode, False
        if mirror is not None and mirror.fits(episode):
            yield path, mirror.image(episode), True


def _same(path: Path, known: dict | None, attrs: dict) -> None:
    for key in ("task", "task_version", "rendering", "size", "cameras", "frame_gap", "control_hz", "origin", "split", "motion", "speed"):
        if known is not None and (known.get(key) or None) != (attrs.get(key) or None):
            raise BadInput(f"{path}: {key}={attrs.get(key)}, but the episodes before it have {key}={known.get(key)}; do not mix them in one folder")


def moved_by(shifts: Int[np.ndarray, "b 2"], size: int) -> Float[np.ndarray, "b 2"]:
    """(x, y) in [-1, 1] from where something is seen in a picture `shifted` by (dy, dx) pixels to where it was before."""
    return (shifts[:, ::-1] * 2 / size).astype(np.float32)


def shifted(frames: UInt8[np.ndarray, "b f h w 3"], shifts: Int[np.ndarray, "b 2"], reach: int) -> UInt8[np.ndarray, "b f h w 3"]:
    """Each sample's pictures moved by its own (dy, dx) pixels, at most `reach`, edges repeated: one shift for all frames of a sample.

    Random shift as in DrQ (arXiv 2004.13649).
    """
    height, width = frames.shape[2:4]
    padded = np.pad(frames, ((0, 0), (0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    moved = np.empty_like(frames)
    for i, (dy, dx) in enumerate(shifts):
        moved[i] = padded[i, :, reach + dy : reach + dy + height, reach + dx : reach + dx + width]
    return moved
