"""The contract of engines, which enlarge tiles within a memory limit."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import ClassVar

import numpy as np

from prosr.errors import CheckpointError, ConfigError
from prosr.inference.memory import core_count, release_freed_memory, reuse_freed_memory
from prosr.inference.tiling import Block

_ROUNDING = 10
"""Memory for converting a tile to samples, in multiples of its result."""

_READING = 150
"""Bytes per pixel for converting samples to a tile."""


@dataclass(frozen=True)
class ScaleCost:
    """Requirements of a network at one scale.

    `radius` is its receptive radius in input pixels, `bytes` the peak of its activations in float32
    per input pixel, and `smallest` the least height and width of its input: smaller inputs are
    extended by repeating their last row and column. `may_round` states whether the network may be
    computed in bfloat16.
    """

    radius: int
    bytes: int
    smallest: int = 1
    may_round: bool = False


@dataclass(frozen=True)
class MemoryModel:
    """Measured factors that convert a network's memory to an engine's.

    `reserved` is the memory of the process before the first tile, in bytes, including that for
    reading and writing. `weights` is the number of copies of the parameters. A tile takes
    `activations` times the float32 peak of its activations, and `results` times its float32 result.
    """

    reserved: int
    weights: float
    activations: float
    results: float


class Engine(ABC):
    """A network that enlarges tiles within `max_memory` bytes for the whole process.

    `cost` returns the costs of a scale and is called when they are first needed. Raises
    `ConfigError` if the limit leaves no memory for tiles.
    """

    name: ClassVar[str]
    precision: str = "fp32"
    """The precision of the last result: "fp32", "bf16" or "int8"."""

    def __init__(
        self,
        scales: Iterable[int],
        cost: Callable[[int], ScaleCost],
        weights: int,
        max_memory: int,
        memory: MemoryModel,
    ) -> None:
        self.max_memory, self.scales = max_memory, tuple(scales)
        self.reserved = int(memory.reserved + memory.weights * weights)
        self._cost, self._memory = cache(cost), memory
        # Callers may use threads; the memory limit allows one tile at a time.
        self._running = Lock()
        self._budget = max_memory - self.reserved
        if self._budget <= 0:
            raise ConfigError(
                f"a memory limit of {max_memory / 1e9:.2g} GB is too low; "
                f"give at least {self.reserved / 1e9 + 0.1:.1f} GB"
            )
        reuse_freed_memory()

    @abstractmethod
    def run(self, x: Block, scale: int) -> Block:
        """Enlarge a contiguous x, [1, 3, H, W], that fits into the budget."""

    def __call__(self, x: Block, scale: int) -> Block:
        """x, float32 [N, 3, H, W] RGB in [0, 1] → [N, 3, sH, sW], not clipped."""
        height, width = x.shape[2:]
        # A single row cannot be reflected: repeat it, and crop the result.
        lacking = [max(0, self._cost(scale).smallest - side) for side in (height, width)]
        if any(lacking):
            x = np.pad(x, ((0, 0), (0, 0), *((0, count) for count in lacking)), "edge")
        with self._running:
            parts = [self.run(np.ascontiguousarray(one[None]), scale) for one in x]
        y = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return y[:, :, : scale * height, : scale * width]

    def release(self) -> None:
        """Return the memory of past tiles to the system, before others need it."""
        release_freed_memory()

    def radius(self, scale: int) -> int:
        """The network's receptive radius, in input pixels."""
        return self._cost(scale).radius

    def pixels(self, scale: int) -> int:
        """The maximum number of pixels of a tile within the budget."""
        network = self._memory.activations * self._cost(scale).bytes
        results = (self._memory.results + _ROUNDING) * 3 * 4 * scale**2
        return int(self._budget / (network + results + _READING))


def thread_count() -> int:
    """Threads for an engine: `OMP_NUM_THREADS`, or as many as this process has cores."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdecimal() and int(chosen) > 0 else core_count()


def parse_metadata(metadata: Mapping[str, str], path: Path) -> ScaleCost:
    """Read a graph's metadata. Raises `CheckpointError` for another program's graph."""
    try:
        radius, size, smallest = (
            int(metadata[key]) for key in ("receptive_radius", "bytes_per_pixel", "smallest_side")
        )
        if not all(0 <= value < 1 << 40 for value in (radius, size, smallest)):
            raise ValueError("a number is out of range")
        return ScaleCost(radius, size, smallest, may_round=metadata["precision"] == "any")
    except (KeyError, ValueError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> CheckpointError:
    """The error for a graph that cannot be used."""
    return CheckpointError(
        f"{path}: is not a graph of this version of prosr, or is damaged; if it is in the cache, "
        f"delete {path.parent}, else install prosr again"
    )
