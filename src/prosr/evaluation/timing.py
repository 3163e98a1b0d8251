"""Time several functions fairly, in rounds.

`torch.utils.benchmark` times one function after the other and warms up before each measurement.
This wastes minutes for functions that take minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

Subject = Callable[[], object]
"""A function to be timed."""


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, at least one."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile."""
        first, third = np.quantile(self.seconds, (0.25, 0.75)).tolist()
        return first, third


def measure(
    subjects: Mapping[str, Subject],
    rounds: int,
    limit: float = float("inf"),
    before: Callable[[str], None] = lambda name: None,
) -> dict[str, Timing]:
    """Call every subject once in each of `rounds` rounds, after one round to warm up.

    A subject that has taken more than `limit` seconds in total gets no further round. If its first
    call already takes longer, this call is its only measurement. Before each call, `before` gets
    the subject's name, to show or to prepare it; that is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            taken = seconds[name]
            if turn > 0 and sum(taken) > limit:
                continue
            before(name)
            start = time.perf_counter()
            subject()
            synchronize()
            taken.append(time.perf_counter() - start)
    return {
        name: Timing(tuple(taken[1:] if len(taken) > 1 else taken))
        for name, taken in seconds.items()
    }


def synchronize() -> None:
    """Wait for the GPU, if this process has loaded PyTorch and there is one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
