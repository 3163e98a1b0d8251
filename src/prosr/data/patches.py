"""Training pictures, decoded once, and batches of patches that favour detail.

A batch is a function of the step: there is no state to save.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from prosr.data.decoded import CACHE_SIZE, CELL, DecodedPictures, Pixels
from prosr.data.degradations import Rng, Size
from prosr.data.pipelines import Degradation
from prosr.errors import DataError, ImageError
from prosr.images.formats import is_picture
from prosr.resample import make_input, tensors
from prosr.walking import files_below

EVEN_SHARE = 1e-3
"""Added to the detail of each cell, so that flat pictures can be drawn from too."""

PREFETCHED = 4
"""Number of batches that each worker prepares in advance."""


@dataclass(frozen=True, slots=True)
class TrainingPicture:
    """A training picture: its size, and the key of its pixels and detail in `decoded`.

    Nothing else is kept in memory, so data sets can be very large.
    """

    path: Path
    height: int
    width: int
    key: str
    decoded: DecodedPictures

    def draw(self, rng: np.random.Generator, side: int, grid: int) -> tuple[int, int]:
        """Draw the top left corner of a square of `side`, in proportion to detail.

        Its coordinates are multiples of `grid`.
        """
        cells = self.decoded.cells(self.key)[2:] + EVEN_SHARE
        cumulative = np.cumsum(cells) / cells.sum()
        cell = int(np.searchsorted(cumulative, rng.random(), side="right"))
        row, column = divmod(min(cell, len(cumulative) - 1), -(-self.width // CELL))
        corner = []
        for index, length in ((row, self.height), (column, self.width)):
            centre = index * CELL + int(rng.integers(CELL))
            last = (length - side) // grid
            corner.append(grid * min(max((centre - side // 2) // grid, 0), last))
        return corner[0], corner[1]


def cut(
    picture: TrainingPicture, corner: Size, patch: int, scale: int, kind: Degradation, rng: Rng
) -> tuple[Pixels, Pixels]:
    """Cut the pair (x, y) whose ground truth starts at `corner`, multiples of `scale`.

    y is [scale·patch, scale·patch, 3]. x is [patch, patch, 3] and equals that part of the
    whole picture's low-resolution input, degraded with what surrounds it.
    """
    (top, left), margin = corner, (3 + kind.margin) * scale
    height, width = (length // scale * scale for length in (picture.height, picture.width))
    side = patch * scale
    y0, x0 = max(top - margin, 0), max(left - margin, 0)
    y1, x1 = min(top + side + margin, height), min(left + side + margin, width)
    surroundings = picture.decoded.pixels(picture.key, picture.path)[y0:y1, x0:x1]
    reduced = kind.apply(make_input(surroundings, scale), surroundings, rng)
    row, column = (top - y0) // scale, (left - x0) // scale
    y = surroundings[top - y0 : top - y0 + side, left - x0 : left - x0 + side]
    return reduced[row : row + patch, column : column + patch], y


def open_pictures(
    folders: Sequence[Path],
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cache_size: int = CACHE_SIZE,
) -> tuple[list[TrainingPicture], list[str]]:
    """Open all pictures below `folders` through `cache`, sorted by path.

    Pictures are recognised by suffix. `progress` gets the number of opened pictures and of all.
    Also returns one line for each that cannot be read.
    """
    paths: list[Path] = []
    problems = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give a folder of pictures")
        found = sorted(files_below(folder))
        problems += [f"{path}: this folder cannot be read" for path in found if path.is_dir()]
        paths += [path for path in found if is_picture(path) and not path.is_dir()]
    decoded = DecodedPictures(cache, cache_size)
    pictures = []
    for number, path in enumerate(paths, 1):
        try:
            key, cells = decoded.open(path)
            pictures.append(TrainingPicture(path, int(cells[0]), int(cells[1]), key, decoded))
        except ImageError as error:
            problems.append(str(error))
        progress(number, len(paths))
    return pictures, problems


@dataclass(frozen=True)
class Batch:
    """The pairs of a step: x is [B, P, P, 3] and y is [B, sP, sP, 3].

    `sources` are the paths of the pictures. Arrays, because sending a tensor from a worker
    opens a connection; or tensors on the device where they were made.
    """

    step: int
    scale: int
    x: Any
    y: Any
    sources: tuple[str, ...]


@dataclass
class PatchSampler(Dataset[Batch]):
    """Item `step` is the batch of that step.

    `scale_at` gives the scale of a step, `patch` the side of x for each scale. Pair i of
    step t depends on (seed, t, i) only; its y does not depend on the `degradation`. Process
    `rank` of `world` draws its part of the batch, which must be a multiple of `world`.

    With a `device`, pictures live in its memory, from the first time that they are drawn. It cuts,
    reduces and turns them, and the batches are the same. Inputs are not degraded there.
    """

    pictures: Sequence[TrainingPicture]
    scale_at: Callable[[int], int]
    patch: dict[int, int]
    batch: int
    seed: int
    rank: int = 0
    world: int = 1
    degradation: Degradation = field(default_factory=Degradation)
    device: torch.device | None = None
    _resident: dict[tuple[str, int], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.eligible = {}
        for scale, size in self.patch.items():
            fitting = [one for one in self.pictures if min(one.height, one.width) >= size * scale]
            if not fitting:
                raise DataError(
                    f"none of {len(self.pictures)} readable training pictures is at least "
                    f"{size * scale}×{size * scale} pixels, which scale {scale} needs with "
                    f"patches of {size}; add larger pictures or set a smaller patch"
                )
            self.eligible[scale] = fitting

    def __getitem__(self, step: int) -> Batch:
        scale = self.scale_at(step)
        first, last = (part * self.batch // self.world for part in (self.rank, self.rank + 1))
        pairs = [self._pair(step, index, scale) for index in range(first, last)]
        stack: Any = torch.stack if self.device else np.stack
        x, y = (stack([pair[i] for pair in pairs]) for i in (0, 1))
        return Batch(step, scale, x, y, tuple(pair[2] for pair in pairs))

    def _pair(self, step: int, index: int, scale: int) -> tuple[Any, Any, str]:
        rng = np.random.default_rng((self.seed, step, index))
        pictures = self.eligible[scale]
        picture = pictures[int(rng.integers(len(pictures)))]
        size = self.patch[scale]
        corner = picture.draw(rng, size * scale, scale)
        turned: Any = torch if self.device else np
        if self.device:
            x, y = self._cut(picture, corner, scale)
        else:
            x, y = cut(picture, corner, size, scale, self.degradation, rng.spawn(1)[0])
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        x, y = turned.rot90(x, turns), turned.rot90(y, turns)
        if mirror:
            x, y = turned.flip(x, (1,)), turned.flip(y, (1,))
        return x, y, str(picture.path)

    def _cut(self, picture: TrainingPicture, corner: Size, scale: int) -> tuple[Any, Any]:
        """`cut` on the device, from the whole picture and its whole input."""
        patch, (top, left) = self.patch[scale], corner
        x = self._on_device(picture, scale)[top // scale :, left // scale :]
        y = self._on_device(picture, 1)[top:, left:]
        return x[:patch, :patch], y[: scale * patch, : scale * patch]

    def _on_device(self, picture: TrainingPicture, scale: int) -> Tensor:
        """A whole picture, [H, W, 3] in uint8, or for a scale above 1 its input."""
        key = picture.key, scale
        if key not in self._resident and scale > 1:
            self._resident[key] = tensors.make_input(self._on_device(picture, 1), scale)
        elif key not in self._resident:
            pixels = np.array(picture.decoded.pixels(picture.key, picture.path))
            self._resident[key] = torch.from_numpy(pixels).to(self.device)
        return self._resident[key]


def has_room(device: torch.device, pictures: Sequence[TrainingPicture]) -> bool:
    """Whether a device is a GPU whose free memory is twice what the pictures and inputs take."""
    # 3 bytes for a pixel, and a third more for the inputs at all scales.
    needed = 4 * sum(one.height * one.width for one in pictures)
    return device.type == "cuda" and 2 * needed < torch.cuda.mem_get_info(device)[0]


def prepared(sampler: PatchSampler, steps: range, workers: int) -> Iterator[Batch]:
    """Batches of `steps` in order, prepared by `workers` processes, or by this one if 0.

    This process alone uses the device of a sampler that has one.
    """
    workers = 0 if sampler.device else workers
    # PyTorch would raise the death of a worker anywhere, even in a save, not only when its
    # batch is awaited.
    signal_handling._SIGCHLD_handler_set = True
    # libvips hangs in a process that was forked from one that has used it.
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    context.set_forkserver_preload([__name__])
    return iter(
        DataLoader(
            sampler,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            prefetch_factor=PREFETCHED if workers else None,
            worker_init_fn=_ignore_signals,
            multiprocessing_context=context if workers else None,
        )
    )


def _ignore_signals(worker: int) -> None:
    """Leave it to the training process, which gets the same signals, to end its data workers.

    A worker that died of a signal could hold a lock for which that process waits. If the training
    process dies, the worker ends too: its own parent is the process that forks workers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if (trainer := multiprocessing.parent_process()) is not None:
        Thread(target=_end_with, args=(trainer,), daemon=True).start()


def _end_with(trainer: multiprocessing.process.BaseProcess) -> None:
    trainer.join()
    os.kill(os.getpid(), signal.SIGKILL)
