"""Batches of fine-tuning as a pure function of the step: which samples, which shifted copy; from cached tokens or from pictures."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from policy.memory.windows import windows
from policy.model import Policy
from policy.noise import drawn
from policy.shapes import Channels, StreamTokens
from policy.training.cache import TokenCache
from policy.training.contrast import Contrast
from policy.training.dataset import Demos, moved_by, shifted
from policy.training.device import autocast
from policy.training.planning import Planning
from policy.training.settings import Settings
from policy.transforms import Affine


class Samples:
    """Of one set of demonstrations, for one policy."""

    def __init__(self, settings: Settings, demos: Demos, proprio: Affine, actions: Affine, policy: Policy, cache: TokenCache | None, device: torch.device):
        self.settings, self.demos, self.actions, self.cache, self.device = settings, demos, actions, cache, device
        now = np.arange(len(demos))  # the pair of frames of each sample, by the row of its later one
        self.pair = (demos.previous, now) if policy.config.change == "past" else (now, demos.ahead(policy.config.ahead))
        self.planning: Planning | None = None
        self.proprio = torch.from_numpy(proprio.normalise(demos.own)).to(device)
        self.chunks = torch.from_numpy(actions.normalise(demos.chunks)).to(device)
        self.valid = torch.from_numpy(demos.valid).to(device)
        self.codes = torch.stack([policy.language.code(instruction) for instruction in demos.instructions]).to(device)
        self.which = torch.from_numpy(demos.told).to(device)
        self.pointed: Tensor | None = None  # (copies, rows, cameras, f): what a join that is frozen finds, where it is all that is read of a picture

    @torch.no_grad()
    def point(self, policy: Policy) -> None:
        """Asks once for all that training will ask of a frozen join."""
        assert self.cache is not None
        found = []
        for number in range(self.cache.shifts):
            for rows in np.array_split(np.arange(len(self.demos)), max(1, len(self.demos) // self.settings.batch)):
                seen, moved = self._from_cache(policy, rows, np.full(len(rows), number))
                found.append(policy.point(seen, self._task(rows), moved))
        self.pointed = torch.cat(found).unflatten(0, (self.cache.shifts, len(self.demos)))

    def features(self, policy: Policy, step: int, contrast: Contrast | None = None) -> tuple[Float[Tensor, "b f"], Tensor, Tensor | None]:
        """What the head learns from, the sample numbers of this step's batch, and the loss of `contrast`."""
        rng = np.random.default_rng([self.settings.seed, step])
        rows = rng.integers(0, len(self.demos), self.settings.batch)
        reach = self.settings.shift_px
        shifts = rng.integers(-reach, reach + 1, (len(rows), 2)) if self.cache is None else rng.integers(0, self.cache.shifts, len(rows))
        also = None
        if contrast is not None:
            seen, _ = (self._from_pictures if self.cache is None else self._from_cache)(policy, rows, shifts)
            said = self.which[rows]
            also = contrast(policy.tokens(seen), policy.words(self._task(rows)).pooled, said[:, None] == said[None])
        return self._read(policy, rows, shifts), torch.from_numpy(rows), also

    def _read(self, policy: Policy, rows: np.ndarray, shifts: np.ndarray) -> Float[Tensor, "b f"]:
        """The features that the head decodes, of shifted copies; a policy that remembers reads the moments before as well."""
        see, n = self._from_pictures if self.cache is None else self._from_cache, policy.config.memory
        of = windows(rows, self.demos.first, n, policy.config.frame_gap).ravel() if n else rows
        shifts = np.repeat(shifts, n, axis=0) if n else shifts
        if self.pointed is not None and policy.training:
            features = policy.reader.beside(self.pointed[shifts, of].unbind(1), self.proprio[of], policy.words(self._task(of)).pooled)
        else:
            seen, moved = see(policy, of, shifts)
            features = policy.read(seen, self.proprio[of], self._task(of), moved).features
        return features if policy.memory is None else policy.memory(features.unflatten(0, (len(rows), n)))

    def plan(self, planning: Planning) -> None:
        """From now on it is learnt what should change, too; where no action is known, that of the inverse model stands in."""
        self.planning = planning
        self.chunks = torch.where(planning.recorded[:, None, None], self.chunks, planning.actions)

    def loss(self, policy: Policy, step: int, contrast: Contrast | None = None) -> Tensor:
        """Of this step's batch; that of `contrast` is added."""
        features, rows, also = self.features(policy, step, contrast)
        beside = {} if self.planning is None else self.planning.beside(rows)
        loss = policy.head.loss(features, self.chunks[rows], self.valid[rows], **beside)
        return loss if also is None else loss + self.settings.contrast * also

    @torch.no_grad()
    def changes(self, inverse: Policy) -> tuple[Float[Tensor, "t z"], Float[Tensor, "t k a"]]:
        """What an inverse model says of each sample: the code of what then changed, and the actions that it takes to have been, unshifted."""
        inverse.eval()
        codes, actions = [], []
        for rows in np.array_split(np.arange(len(self.demos)), max(1, len(self.demos) // self.settings.batch)):
            with autocast(self.device, self.settings.precision):
                seen, moved = self._still(inverse, rows)
                features = inverse.read(seen, self.proprio[rows], self._task(rows), moved).features
                codes.append(inverse.head.code(features).float())  # type: ignore[operator]
                actions.append(inverse.head(features).float())
        return torch.cat(codes), torch.cat(actions)

    @torch.no_grad()
    def told(self, policy: Policy) -> Float[np.ndarray, "t a"]:
        """The action that would be executed next, in the world's numbers, for each sample, unshifted. A head that draws draws the same each time."""
        training = policy.training
        policy.eval()
        told = []
        for rows in np.array_split(np.arange(len(self.demos)), max(1, len(self.demos) // self.settings.batch)):
            noise = np.array([drawn([], int(row), policy.head.noise) for row in rows]) if policy.head.noise else None
            with autocast(self.device, self.settings.precision):
                still = np.zeros((len(rows), 2), np.int64)
                features = self._read(policy, rows, still if self.cache is None else still[:, 0])
                given = None if noise is None else torch.from_numpy(noise).to(self.device)
                told.append(policy.head(features, given)[:, 0].float())
        policy.train(training)
        return self.actions.unnormalise(torch.cat(told).cpu().numpy())

    def error(self, policy: Policy) -> Float[np.ndarray, " a"]:
        """Mean absolute error of each number of `told`."""
        return np.abs(self.told(policy) - self.demos.chunks[:, 0]).mean(0)

    def _task(self, rows: np.ndarray) -> Tensor:
        """Each sample's own instruction."""
        return self.codes[self.which[rows]]

    def _still(self, policy: Policy, rows: np.ndarray) -> tuple[StreamTokens | Channels, Tensor]:
        """What is seen of these samples, unshifted."""
        still = np.zeros((len(rows), 2), np.int64)
        return self._from_pictures(policy, rows, still) if self.cache is None else self._from_cache(policy, rows, still[:, 0])

    def _from_cache(self, policy: Policy, rows: np.ndarray, copies: np.ndarray) -> tuple[StreamTokens, Tensor]:
        assert self.cache is not None
        seen = self.demos.seen[rows]  # tokens are of pictures, whenever those arrive: one cache serves every latency
        tokens = self.cache.tokens(copies, seen).map(lambda x: x.to(self.device))
        return policy.recall(tokens), self._moved(self.cache.table[copies, seen])

    def _from_pictures(self, policy: Policy, rows: np.ndarray, shifts: np.ndarray) -> tuple[StreamTokens | Channels, Tensor]:
        seen = self.demos.seen[rows]
        pair = np.stack([self.demos.frames[rows_of[seen]] for rows_of in self.pair], axis=2)  # (b, c, 2, h, w, 3)
        flat = pair.reshape(len(rows), -1, *pair.shape[3:])
        frames = torch.from_numpy(shifted(flat, shifts, self.settings.shift_px).reshape(pair.shape)).to(self.device)
        return policy.look(frames), self._moved(shifts)

    def _moved(self, shifts: np.ndarray) -> Tensor:
        return torch.from_numpy(moved_by(shifts, self.demos.frames.shape[2])).to(self.device)
