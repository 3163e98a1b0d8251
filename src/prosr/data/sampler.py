"""Batches as a function of the step: there is no state to save."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, Dataset

from prosr.data.decoded import Pixels
from prosr.data.patches import TrainingPicture, cut
from prosr.errors import DataError

PREFETCHED = 4
"""Batches that each worker prepares in advance."""


@dataclass(frozen=True)
class Batch:
    """The pairs of a step: x is [B, P, P, 3] and y is [B, sP, sP, 3].

    `sources` are the paths of the pictures. Arrays, because sending a tensor from a worker
    opens a connection.
    """

    step: int
    scale: int
    x: Pixels
    y: Pixels
    sources: tuple[str, ...]


class PatchSampler(Dataset[Batch]):
    """Item `step` is the batch of that step.

    `scale_at` gives the scale of a step, `patch` the side of x for each scale. Pair i of
    step t depends on (seed, t, i) only. Process `rank` of `world` draws its part of the batch,
    which must be a multiple of `world`.
    """

    def __init__(
        self,
        pictures: Sequence[TrainingPicture],
        scale_at: Callable[[int], int],
        patch: dict[int, int],
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.scale_at = scale_at
        self.patch = patch
        self.seed = seed
        self.indices = range(rank * batch // world, (rank + 1) * batch // world)
        self.eligible = {}
        for scale, size in patch.items():
            fitting = [one for one in pictures if min(one.height, one.width) >= size * scale]
            if not fitting:
                raise DataError(
                    f"none of {len(pictures)} readable training pictures is at least "
                    f"{size * scale}×{size * scale} pixels, which scale {scale} needs with "
                    f"patches of {size}; add larger pictures or set a smaller patch"
                )
            self.eligible[scale] = fitting

    def __getitem__(self, step: int) -> Batch:
        scale = self.scale_at(step)
        pairs = [self._pair(step, index, scale) for index in self.indices]
        x, y = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        return Batch(step, scale, x, y, tuple(pair[2] for pair in pairs))

    def _pair(self, step: int, index: int, scale: int) -> tuple[Pixels, Pixels, str]:
        rng = np.random.default_rng((self.seed, step, index))
        pictures = self.eligible[scale]
        picture = pictures[int(rng.integers(len(pictures)))]
        size = self.patch[scale]
        x, y = cut(picture, *picture.draw(rng, size * scale, scale), size, scale)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        x, y = np.rot90(x, turns), np.rot90(y, turns)
        if mirror:
            x, y = x[:, ::-1], y[:, ::-1]
        return x, y, str(picture.path)


def prepared(sampler: PatchSampler, steps: range, workers: int) -> Iterator[Batch]:
    """Batches of `steps` in order, prepared by `workers` processes, or by this one if 0.

    A killed worker raises an error when its batch is awaited. PyTorch's SIGCHLD handler, which
    would raise it anywhere, even in a save, is removed.
    """
    ahead = PREFETCHED if workers else None
    loader = DataLoader(
        sampler, batch_size=None, sampler=steps, num_workers=workers, prefetch_factor=ahead
    )
    if sys.platform == "win32":
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if signal.getsignal(signal.SIGCHLD) is not before:
        signal.signal(signal.SIGCHLD, before)
    return batches
