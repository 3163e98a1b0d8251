"""Seconds of several things, measured in turns so that none has the machine at its best.

`torch.utils.benchmark` times one thing after the other and warms up before each number,
which for a picture of minutes is minutes lost: hence these few lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

import torch

PEAK_SIDE, _PRODUCTS = 2048, 8

PEAK_MULTIPLY_ADDS = _PRODUCTS * PEAK_SIDE**3

Subject = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The seconds that each round took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which the middle half of the rounds lies."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        first, _, third = quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def measure(
    subjects: Mapping[str, Subject],
    rounds: int,
    limit: float = float("inf"),
    progress: Callable[[str], None] = lambda name: None,
    prepare: Callable[[str, bool], None] = lambda name, again: None,
) -> dict[str, Timing]:
    """Call every subject once in each of `rounds` rounds, after a round to warm up.

    A subject that has taken more than `limit` seconds in all gets no further round; one
    whose first call took as long keeps that as its only one. `progress` is told the name
    of what comes next; then `prepare`, in no one's time, and whether it was called before.
    """
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            taken = seconds[name]
            if turn > 0 and sum(taken) > limit:
                continue
            progress(name)
            prepare(name, turn > 0)
            taken.append(_seconds(subject))
    return {
        name: Timing(tuple(taken[1:] if len(taken) > 1 else taken))
        for name, taken in seconds.items()
    }


def matmul(dtype: torch.dtype) -> Subject:
    """Products of two square matrices in a row, which show the machine's peak.

    One call has PEAK_MULTIPLY_ADDS. A single product of bfloat16 showed half of what AMX does:
    it spends as long on waking the cores and on new memory for its result.
    """
    a, b, c = (torch.full((PEAK_SIDE, PEAK_SIDE), 0.5, dtype=dtype) for _ in range(3))

    def multiply() -> None:
        for _ in range(_PRODUCTS):
            torch.mm(a, b, out=c)

    return multiply


def _seconds(subject: Subject) -> float:
    start = time.perf_counter()
    subject()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
